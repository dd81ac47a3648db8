"""The published JSON Schemas: they are what the types say, real documents fit, spoilt ones do not."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from lifelike import lifelike_order
from support.folding.pure import fold, stored
from support.processes import ROOT

from shared import document, json_schemas

Json = dict[str, Any]
Spoil = Callable[[Json], object]


@pytest.fixture(scope="module")
def documents() -> list[Json]:
    """The documents of lifelike orders, finished and unfinished: a history is folded up to a random place."""
    made = []
    for seed in range(400):
        rng = random.Random(seed)
        events = stored(lifelike_order(rng))
        state = fold(events[: rng.randint(1, len(events))])
        state.events = len(events)
        if seed % 5 == 0:
            state.closed = state.last_received
        made.append(orjson.loads(orjson.dumps(document.build("default", "83831IAKD2", state, 1 + seed, seed * 10**12))))
    return made


def closed(schema: Any) -> Any:
    """A schema whose objects may have no fields but the named ones."""
    if isinstance(schema, dict):
        made = {name: closed(value) for name, value in schema.items()}
        return made | {"additionalProperties": False} if "properties" in schema else made
    return [closed(each) for each in schema] if isinstance(schema, list) else schema


def fields(name: str) -> Iterator[str]:
    schema = json_schemas.json_schema(name)
    yield from schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]


@pytest.mark.parametrize("name", json_schemas.SHAPES)
def test_the_files_in_the_package_are_what_the_types_say(name: str) -> None:
    held = (resources.files("gelato_rollup") / "schemas" / json_schemas.file_name(name)).read_text()
    assert held == json_schemas.text(name), "run `gelato-rollup schemas --into gelato_rollup/schemas`"


@pytest.mark.parametrize("name", json_schemas.SHAPES)
def test_each_is_a_json_schema_that_explains_itself(name: str) -> None:
    schema = json_schemas.json_schema(name)
    Draft202012Validator.check_schema(schema)
    assert all(each["description"] for each in schema["$defs"].values())


def test_every_field_of_the_document_says_what_it_means() -> None:
    for shape in json_schemas.json_schema("document")["$defs"].values():
        for field, about in shape["properties"].items():
            assert about.get("description"), field


def test_the_document_that_its_page_shows_is_one() -> None:
    page = (ROOT / "docs" / "reference" / "document.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    validator = Draft202012Validator(closed(json_schemas.json_schema("document")))
    assert [error.message for error in validator.iter_errors(json.loads(shown))] == []


def test_documents_of_lifelike_orders_are_valid_and_have_no_field_that_is_not_described(documents: list[Json]) -> None:
    validator = Draft202012Validator(closed(json_schemas.json_schema("document")))
    for each in documents:
        assert [error.message for error in validator.iter_errors(each)] == []
    seen = {name for each in documents for name in each}
    assert seen == set(fields("document"))  # closedAt among them


SPOILT: dict[str, Spoil] = {
    "another schema": lambda d: d.update(schema=2),
    "a status that is no text": lambda d: d.update(status=None),
    "a time with an offset": lambda d: d.update(updatedAt="2026-11-22T10:00:00+01:00"),
    "a time with a fraction": lambda d: d.update(lastEventAt="2026-11-22T10:00:00.5Z"),
    "a version of none": lambda d: d.update(version=0),
    "a version in text": lambda d: d.update(version="9"),
    "complete, as a text": lambda d: d.update(complete="yes"),
    "a tenant that nobody can be": lambda d: d.update(tenant="Default"),
    "an empty reference": lambda d: d.update(orderReferenceId=""),
    "a count of none": lambda d: d["counts"].update(shipped=0),
    "a count below zero": lambda d: d.update(events=-1),
    "an estimate with a time": lambda d: d.update(
        deliveryEstimate={"minDeliveryDate": "2026-11-22T00:00:00Z", "maxDeliveryDate": None}
    ),
    "half an estimate": lambda d: d.update(deliveryEstimate={"minDeliveryDate": "2026-11-22"}),
    "a package of no order": lambda d: d["packages"].append({"trackingCode": "c"}),
    "attention without a status": lambda d: d["attention"].append({"orderId": "o", "itemReferenceId": None}),
    "a silent that is no yes or no": lambda d: next(iter(d["orders"].values())).update(silent=1),
    "a timeline without a time": lambda d: next(iter(d["orders"].values()))["timeline"].update(shipped=None),
    "a line that is a text": lambda d: next(iter(d["orders"].values()))["items"].update(mug="shipped"),
    "an item without orders": lambda d: d["items"].update(mug={"status": "shipped"}),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_document_is_not_valid(documents: list[Json], spoilt: str) -> None:
    validator = Draft202012Validator(json_schemas.json_schema("document"))
    for each in documents[:40]:
        changed = copy.deepcopy(each)
        SPOILT[spoilt](changed)
        assert not validator.is_valid(changed)


@pytest.mark.parametrize("field", [name for name in fields("document") if name != "closedAt"])
def test_a_document_without_one_of_its_fields_is_not_valid(documents: list[Json], field: str) -> None:
    validator = Draft202012Validator(json_schemas.json_schema("document"))
    assert not any(validator.is_valid({k: v for k, v in each.items() if k != field}) for each in documents[:20])


def test_a_reader_of_this_schema_may_meet_fields_of_a_later_version(documents: list[Json]) -> None:
    validator = Draft202012Validator(json_schemas.json_schema("document"))
    assert validator.is_valid(json.loads(json.dumps(documents[0])) | {"newIn2030": {"a": 1}})


def test_a_change_and_its_entry_differ_in_their_types() -> None:
    change = Draft202012Validator(json_schemas.json_schema("change"))
    entry = Draft202012Validator(json_schemas.json_schema("change-entry"))
    typed = {
        "tenant": "default",
        "orderReferenceId": "83831IAKD2",
        "version": 9,
        "status": "shipped",
        "previousStatus": None,
        "terminal": False,
        "at": "2026-11-22T10:00:00Z",
    }
    text = typed | {"version": "9", "previousStatus": "", "terminal": "false"}
    assert change.is_valid(typed)
    assert entry.is_valid(text)
    assert not change.is_valid(text)
    assert not entry.is_valid(typed)
    for name in typed:
        assert not change.is_valid({k: v for k, v in typed.items() if k != name})
        assert not entry.is_valid({k: v for k, v in text.items() if k != name})
