"""The service is what its OpenAPI description and its JSON Schemas say: asked by schemathesis, and looked at."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from jsonschema import Draft202012Validator
from support import conformance
from support.events import item_status
from support.gelato.intermediary import Intermediary
from support.listening import Listener
from support.polling import eventually
from support.processes import OPS_TOKEN, Receiver
from support.server import Server

from gelato_rollup import CHANGES
from receiver.openapi.description import describe
from shared import json_schemas


@pytest.fixture
def staged(server: Server, tmp_path: Path) -> Iterator[tuple[Intermediary, list[str]]]:
    with conformance.stage(server, tmp_path) as staged:
        yield staged


def test_schemathesis_finds_nothing(staged: tuple[Intermediary, list[str]], tmp_path: Path) -> None:
    service, letters = staged
    done = conformance.run(service, letters, tmp_path, "--seed", "1", "--phases", "examples,coverage")
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
    assert "34 selected / 34 total" in done.stdout
    assert [line for line in service.receiver.said() if line.get("result") == "failed"] == []


def test_what_is_served_needs_no_token_and_is_what_is_real(
    staged: tuple[Intermediary, list[str]], server: Server, tmp_path: Path
) -> None:
    service, _ = staged
    client = service.receiver.client

    def valid(name: str, value: Any) -> bool:
        served = client.get(f"/schemas/{name}.json")
        assert served.headers["content-type"] == "application/schema+json"
        assert served.text == json_schemas.text(name)
        assert client.get(f"/schemas/{json_schemas.file_name(name)}").text == served.text
        return Draft202012Validator(served.json()).is_valid(value)

    assert client.get("/openapi.json").json() == orjson.loads(orjson.dumps(describe("x-webhook-secret")))
    assert sorted(client.get("/schemas").json()["schemas"]) == sorted(json_schemas.SHAPES)
    assert client.get("/schemas/nothing.json").status_code == 404
    assert valid("document", service.receiver.get("/orders/83831IAKD2").json())
    stream: Any = server.client
    for _, fields in stream.xrange(CHANGES):
        assert valid("change-entry", {name.decode(): value.decode() for name, value in fields.items()})
    with contextlib.closing(Listener(service.receiver.base, "/orders/83831IAKD2/changes")) as listener:
        eventually(lambda: listener.events, what="the document")
        event = item_status(orderReferenceId="83831IAKD2", id="is_2", status="shipped")
        assert service.receiver.post(event, secret=conformance.SECRET).is_success
        eventually(lambda: len(listener.events) == 2, what="the change")
    assert [each.name for each in listener.events] == ["document", "change"]
    for each in listener.events:
        assert valid(each.name, each.data)


def ask(receiver: Receiver, method: str, path: str, **options: Any) -> httpx.Response:
    return receiver.client.request(method, path, headers={"Authorization": f"Bearer {OPS_TOKEN}"}, **options)


@pytest.mark.parametrize("cursor", ["0-0", "18446744073709551616-0", "0-99999999999999999999", "1", "\u0661-1"])
def test_a_place_in_the_audit_log_that_cannot_be_is_refused(receiver: Receiver, cursor: str) -> None:
    answer = ask(receiver, "GET", "/dead-letters/audit", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid-query")


def test_a_filter_that_is_given_twice_is_refused(receiver: Receiver) -> None:
    answer = ask(receiver, "POST", "/dead-letters/replay?reason=fold-error", json={"reason": "invalid-json"})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "reason: given twice, in the query and in the body"


def test_405_names_all_methods(receiver: Receiver) -> None:
    answer = ask(receiver, "PUT", f"/dead-letters/{'0' * 32}")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
