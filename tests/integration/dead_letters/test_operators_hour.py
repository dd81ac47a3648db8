"""An operator's hour: a release that cannot fold one kind of event, found, mended, replayed. And the hour after an upgrade.

The releases are real processes: `support/releases` changes their code as the release would.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import httpx
import orjson
import pytest
from support.commands import Gelato
from support.events import incoming
from support.firehose import post_all
from support.orders import accept, document, nothing_waits
from support.polling import eventually
from support.processes import OPS_TOKEN, Process, Receiver
from support.releases import on_path
from support.scrape import scrape, value

from shared.store import Store, letter_lists, orders

ORDERS, CODES = 500, 10
CONTROL = "control"
FORM_TOKEN = re.compile(r'name="form-token" value="([^"]+)"')
OPS = {"Authorization": f"Bearer {OPS_TOKEN}"}


def events_of(reference: str) -> Iterator[dict[str, Any]]:
    """An order's events: some of its items' ways, and ten tracking codes, which the faulty release cannot fold."""
    about = {"orderId": f"{reference}-1", "orderReferenceId": reference}
    for n in range(CODES):
        at = f"2026-01-01T00:{n:02}:00Z"
        item = {**about, "itemReferenceId": f"item-{n}", "created": at}
        if n < 4:
            yield {**item, "id": f"is_{n}", "event": "order_item_status_updated", "status": "printed"}
        yield {
            **item,
            "id": f"tc_{n}",
            "event": "order_item_tracking_code_updated",
            "trackingCode": f"{reference}-code-{n}",
            "trackingUrl": "https://example.org/track",
            "shipmentMethodName": "By hand",
        }


@contextmanager
def signed_in(receiver: Receiver) -> Iterator[httpx.Client]:
    """An operator at the console, as a browser speaks for one."""
    with httpx.Client(base_url=receiver.base, headers={"sec-fetch-site": "same-origin"}, timeout=10.0) as client:
        assert client.post("/console/sign-in", data={"token": OPS_TOKEN, "name": "Ada"}).status_code == 303
        yield client


def links(page: str, path: str) -> list[str]:
    """Where the links of a page to a path lead to."""
    return [unescape(found) for found in re.findall(rf'href="({re.escape(path)}\?[^"]+)"', page)]


def test_an_operators_hour(receiver: Receiver, store: Store, start: Callable[..., Process]) -> None:
    references = [f"order-{n}" for n in range(ORDERS)]
    bodies = [orjson.dumps(event) for lot in zip(*map(events_of, references), strict=True) for event in lot]
    at_first = value(scrape(receiver.base), "gelato_dead_letters", reason="fold-error")
    faulty = start("worker", PYTHONPATH=on_path("faulty"), GELATO_FOLD_TRIES="1", LOG_LEVEL="error")

    # The faulty release is in use: its events pile up as dead letters, and everything else goes on.
    assert post_all(receiver.port, bodies) == {200: len(bodies)}
    eventually(lambda: store.run(letter_lists.count()) == ORDERS * CODES, seconds=40, what="5,000 dead letters")
    eventually(
        lambda: all(document(store, each)["counts"] == {"printed": 4} for each in references), what="the other events"
    )

    # The condition of the alert GelatoDeadLettersPilingUp: so many more of one reason within minutes.
    assert value(scrape(receiver.base), "gelato_dead_letters", reason="fold-error") - at_first > 100

    # The operator finds one cause in the console, with a traceback that names the place.
    with signed_in(receiver) as console:
        letters = console.get("/console/letters").text
        (cause,) = links(letters, "/console/letters/group")
        assert "KeyError: &#39;parcel&#39;" in letters
        letter, *_ = links(console.get(cause).text, "/console/letter")
        assert "_broken_join" in console.get(letter).text

        # The mended release starts; the group is replayed as a whole.
        assert faulty.terminate() == 0
        start("worker")
        (replay,) = links(letters, "/console/letters/replay")
        word_before = console.get(replay).text
        assert "Replay 5\u202f000 letters?" in word_before
        begun = console.post(replay, data={"form-token": FORM_TOKEN.findall(word_before)[0]})
    run = f"/dead-letters/replays/{httpx.URL(begun.headers['location']).params['id']}"
    eventually(lambda: receiver.get(run).json()["state"] == "done", seconds=60, what="the replay")
    assert receiver.get(run).json()["counts"] == {"folded": ORDERS * CODES}
    assert store.run(letter_lists.count()) == 0
    assert value(scrape(receiver.base), "gelato_dead_letters", reason="fold-error") == 0

    # Every document is that of a run without the fault.
    for reference in references:
        accept(store, *(incoming(event, tenant=CONTROL) for event in events_of(reference)))
    eventually(lambda: nothing_waits(store), what="the run without the fault")
    told = {"tenant": None, "version": None, "updatedAt": None}
    for reference in references:
        without = document(store, reference, CONTROL) | told
        assert document(store, reference) | told == without
    assert without["events"] == CODES + 4
    assert len(without["packages"]) == CODES


@pytest.fixture
def upgraded(receiver: Receiver, start: Callable[..., Process]) -> Iterator[Receiver]:
    """A receiver of the next release, beside that of this one."""
    env = receiver.env | {"PYTHONPATH": on_path("next")}
    found = Receiver(env, receiver.log.with_name("upgraded.log")).start()
    yield found
    found.stop()


def test_unknown_events_are_folded_after_an_upgrade(
    receiver: Receiver, store: Store, start: Callable[..., Process], gelato: Gelato, upgraded: Receiver
) -> None:
    event = {
        "id": "ic_1",
        "event": "order_item_status_changed",
        "orderId": "A-1",
        "orderReferenceId": "A",
        "itemReferenceId": "mug",
        "status": "printed",
        "created": "2026-01-01T00:00:00Z",
    }
    shape = event | {"id": "ic_2", "event": "order_item_status_updated", "status": {"code": "shipped"}}
    quarantined = [receiver.post(each).json() for each in (event, shape, event | {"event": "order_unheard_of"})]
    assert [each["reason"] for each in quarantined] == ["unknown-event", "invalid-event", "unknown-event"]
    received = store.run(letter_lists.page()).letters[-1].received
    this_release = start("worker")
    early = gelato("dead-letters", "replay", "--reason", "unknown-event", "--yes", "--json")
    assert (early.returncode, orjson.loads(early.stdout)["counts"]) == (1, {"dead": 2})

    # Meanwhile a receiver of the next release takes the same event, as a new one. Replaying makes no second of it.
    this_release.terminate()
    start("worker", PYTHONPATH=on_path("next"))
    again = upgraded.post(event)
    assert again.json()["result"] == "accepted"
    after = gelato("dead-letters", "replay", "--reason", "unknown-event", "--yes", "--json")
    assert (after.returncode, orjson.loads(after.stdout)["counts"]) == (1, {"dead": 1, "folded": 1})
    rest = upgraded.client.post("/dead-letters/replay", params={"reason": "invalid-event"}, headers=OPS).json()
    eventually(lambda: upgraded.get(f"/dead-letters/replays/{rest['replay']}").json()["counts"] == {"folded": 1})
    (left,) = store.run(letter_lists.page()).letters
    assert left.detail == "event: unknown name 'order_unheard_of'"
    folded = document(store, "A")
    assert (folded["status"], folded["events"]) == ("shipped", 2)
    log = store.run(orders.log("default", "A"))
    assert received in {record.received for record in log}  # its first time of receipt
