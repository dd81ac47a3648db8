"""The OpenAPI description names every route of the application, and nothing else; what it refers to is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from receiver.app import Receiver, create_app
from receiver.openapi.description import describe
from shared.secret import Secret
from shared.settings import Settings

METHODS = {"get", "post", "put", "delete", "patch"}
WEBHOOKS = {("/webhooks/gelato", "post"), ("/webhooks/gelato/{tenant}", "post")}
DESCRIBED: dict[str, Any] = describe()


@pytest.fixture
def app(tmp_path: Path) -> Receiver:
    return create_app(
        Settings(ops_token=Secret("an-ops-token"), data_dir=tmp_path, webhook_secrets=(Secret("secret"),))
    )


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DESCRIBED["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def test_every_route_is_described_and_nothing_else(app: Receiver) -> None:
    routed = {
        (route.path, method.lower())
        for route in app.app.routes
        if isinstance(route, Route) and not route.path.startswith("/console")
        for method in (route.methods or ()) - {"HEAD"}
    }
    assert {(path, method) for path, method, _ in operations()} == routed | WEBHOOKS


def test_webhooks_are_routed_where_they_are_described(app: Receiver) -> None:
    assert app.webhooks.tenant_at(b"/webhooks/gelato") == "default"
    assert app.webhooks.tenant_at(b"/webhooks/gelato/acme") == "acme"


def test_every_operation_has_a_name_of_its_own_and_says_who_may_do_it() -> None:
    names = [each["operationId"] for _, _, each in operations()]
    assert len(set(names)) == len(names)
    schemes = set(DESCRIBED["components"]["securitySchemes"])
    for path, _, each in operations():
        assert {name for one in each["security"] for name in one} <= schemes
        if not path.startswith(("/healthz", "/readyz", "/metrics", "/schemas", "/openapi.json")):
            assert each["security"], path


def test_every_part_of_a_path_is_described() -> None:
    for path, item in DESCRIBED["paths"].items():
        named = {each["name"] for each in item.get("parameters", ()) if each["in"] == "path"}
        assert named == {part.partition("}")[0] for part in path.split("{")[1:]}, path


def test_what_is_referred_to_is_there() -> None:
    for each in walk(DESCRIBED):
        if "$ref" in each:
            at: Any = DESCRIBED
            for name in each["$ref"].removeprefix("#/").split("/"):
                at = at[name]
            assert isinstance(at, dict)


def test_links_lead_to_operations_and_their_parameters() -> None:
    parameters = {
        each["operationId"]: {
            one["name"] for one in [*DESCRIBED["paths"][path].get("parameters", ()), *each.get("parameters", ())]
        }
        for path, _, each in operations()
    }
    links = [link for each in walk(DESCRIBED["paths"]) for link in each.get("links", {}).values()]
    assert links
    for link in links:
        assert set(link["parameters"]) <= parameters[link["operationId"]]


def test_its_schemas_are_json_schemas() -> None:
    for each in walk(DESCRIBED):
        if isinstance(each.get("schema"), dict):
            Draft202012Validator.check_schema(each["schema"])
    for schema in DESCRIBED["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
