"""Dead letters over HTTP, with real receivers and workers: look, replay one and many, discard, the audit log."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, READ_TOKEN, TENANT_TOKEN, Process, Receiver
from support.server import Server

from shared import replay
from shared.letters import ask_for_replay
from shared.store import Store, audit, dead_letters, due, keys, letter_lists, replay_runs
from shared.store.calls import Batch, Call
from shared.store.dead_letters import DeadLetter, bury, letter_id
from shared.store.intake import FULL
from shared.store.letter_lists import Selection
from shared.store.scripts import REPLAY

RECEIVED = 1_767_225_600_000_000


def ask(receiver: Receiver, method: str, path: str, token: str = OPS_TOKEN, **options: Any) -> httpx.Response:
    return receiver.client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)


def body(n: int = 1, reference: str = "A", **more: object) -> bytes:
    event = {"id": f"e-{n}", "event": "order_item_status_updated", "orderId": f"{reference}-1", "status": "passed"}
    event |= {"orderReferenceId": reference, "itemReferenceId": f"item-{n}", "created": "2026-01-01T00:00:00Z"}
    return orjson.dumps(event | more)


def kept(store: Store, payload: bytes | None, reason: str = "unknown-event", **more: Any) -> str:
    """Bury a letter as an older version would have, for which the payload was unusable."""
    letter = DeadLetter(letter_id("default", payload or b"?"), "default", reason, "event: unknown", payload, RECEIVED)
    letter = letter._replace(**more)
    store.run(bury(letter))
    return letter.id


def ids(store: Store) -> list[str]:
    return [each.id for each in store.run(letter_lists.page(limit=500, whole=False)).letters]


GUARDED = [
    ("GET", "/dead-letters"),
    ("GET", "/dead-letters/" + "0" * 32),
    ("DELETE", "/dead-letters/" + "0" * 32),
    ("POST", f"/dead-letters/{'0' * 32}/replay"),
    ("POST", "/dead-letters/replay"),
    ("GET", "/dead-letters/replays"),
    ("GET", "/dead-letters/replays/" + "0" * 32),
    ("POST", f"/dead-letters/replays/{'0' * 32}/stop"),
    ("GET", "/dead-letters/audit"),
]


def test_dead_letters_are_the_operators_alone(receiver: Receiver) -> None:
    for method, path in GUARDED:
        assert receiver.client.request(method, path).status_code == 401
        assert ask(receiver, method, path, "unknown").status_code == 401
        for token in (READ_TOKEN, TENANT_TOKEN):
            refused = ask(receiver, method, path, token)
            assert (refused.status_code, refused.json()) == (403, {"error": "forbidden"})
        assert ask(receiver, method, path).status_code in (200, 404)


def test_a_letter_is_shown_as_it_was_received(receiver: Receiver) -> None:
    before = time.time()
    raw = b' {"event":"order_status_updated", "orderReferenceId":"A"} '
    letter = receiver.post(raw).json()["deadLetter"]
    receiver.post(raw)
    binary = receiver.post(b"\xff\xfe").json()["deadLetter"]
    shown = ask(receiver, "GET", f"/dead-letters/{letter}").json()
    assert (shown["id"], shown["tenant"], shown["reason"]) == (letter, "default", "invalid-event")
    assert (shown["detail"], shown["payload"], shown["count"]) == ("orderId: missing", raw.decode(), 2)
    assert shown["orderReferenceId"] == "A"
    assert shown["receivedAt"] < shown["lastSeenAt"]
    assert shown["receivedAt"].endswith("Z")
    assert shown["receivedAt"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))
    assert "traceback" not in shown
    other = ask(receiver, "GET", f"/dead-letters/{binary}").json()
    assert (other["payloadBase64"], "payload" in other) == ("//4=", False)
    page = ask(receiver, "GET", "/dead-letters").json()
    assert page["deadLetters"] == [other, shown]
    assert (page["cursor"], page["total"], page["dropped"]) == (None, 2, {})


def test_lists_are_paged_filtered_and_grouped(receiver: Receiver, store: Store) -> None:
    for n in range(5):
        kept(
            store, b"%d" % n, received=RECEIVED + n * 1_000, detail=f"event: unknown name 'x{n % 2}'", reference=f"R{n}"
        )
    first = ask(receiver, "GET", "/dead-letters?limit=2&reason=unknown-event").json()
    rest = ask(receiver, "GET", f"/dead-letters?limit=3&cursor={first['cursor']}").json()
    assert [each["payload"] for each in first["deadLetters"] + rest["deadLetters"]] == ["4", "3", "2", "1", "0"]
    narrowed = {"": 5, "order=R1": 1, "order=R1&reason=fold-error": 0, "detail=x1": 2, "tenant=acme": 0}
    for query, number in narrowed.items():
        page = ask(receiver, "GET", f"/dead-letters?limit=1&{query}").json()
        assert (page["total"], "totalIsExact" in page) == (number, False), query
    assert ask(receiver, "GET", "/dead-letters?groups=true&detail=x1").json()["total"] == 2
    assert ask(receiver, "GET", "/dead-letters?groups=true&order=R1").status_code == 400
    groups = ask(receiver, "GET", "/dead-letters?groups=true").json()["groups"]
    assert {(each["reason"], each["detail"], each["count"]) for each in groups} == {
        ("unknown-event", "event: unknown name 'x0'", 3),
        ("unknown-event", "event: unknown name 'x1'", 2),
    }
    assert {each["firstAt"] for each in groups} == {"2026-01-01T00:00:00Z"}
    for query, found in (
        ("reason=fold-error", 0),
        ("tenant=other", 0),
        ("order=R3", 1),
        ("orderReferenceId=R3", 1),
        ("detail=X1", 2),
        (f"group={groups[0]['group']}", groups[0]["count"]),
        ("since=2026-01-01T00:00:00.002Z", 3),
        ("until=2026-01-01T00:00:00.002Z", 3),
    ):
        page = ask(receiver, "GET", f"/dead-letters?{query}").json()
        assert len(page["deadLetters"]) == found, query


def test_a_query_that_cannot_be_is_refused(receiver: Receiver) -> None:
    for query in (
        "reason=nonsense",
        "since=yesterday",
        "limit=0",
        "cursor=x",
        "group=x",
        "tenant=A%20B",
        "groups=maybe",
        "cursor=WzEsIngiXQ",
        "detail=" + "x" * 501,
    ):
        refused = ask(receiver, "GET", f"/dead-letters?{query}")
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid-query")
        assert refused.json()["detail"].startswith(query.partition("=")[0])


def test_a_mistyped_filter_replays_nothing(receiver: Receiver, store: Store) -> None:
    kept(store, body())
    for refused in (
        ask(receiver, "POST", "/dead-letters/replay", json={"resaon": "unknown-event"}),
        ask(receiver, "POST", "/dead-letters/replay?tennant=a"),
        ask(receiver, "POST", "/dead-letters/replay", json=[]),
        ask(receiver, "POST", "/dead-letters/replay", json={"since": 5}),
        ask(receiver, "POST", "/dead-letters/replay", content=b"{"),
    ):
        assert refused.status_code == 400
    assert store.run(replay_runs.latest()) == []


def test_one_letter_is_replayed_and_its_fate_told(
    receiver: Receiver, store: Store, start: Callable[..., Process]
) -> None:
    start("worker")
    eventually(lambda: store.run(due.live_shifts()), what="the worker")
    usable = kept(store, b" " + body())
    unusable = kept(store, b'{"event":"order_unheard_of"}')
    ignored = kept(store, b'{"event":"store_product_created"}')
    test = kept(store, body(2, orderId="a6a1f9ce-2bdd-4a9e-9f8d-0009df0e24d9"))
    nothing = kept(store, None, "invalid-json", came_as="posted")
    found = {
        letter: ask(receiver, "POST", f"/dead-letters/{letter}/replay")
        for letter in (usable, unusable, ignored, test, nothing)
    }
    assert {answer.status_code for answer in found.values()} == {200}
    assert [answer.json()["result"] for answer in found.values()] == [
        "folded",
        "dead",
        "ignored",
        "test",
        "unreplayable",
    ]
    assert found[unusable].json()["detail"] == "event: unknown name 'order_unheard_of'"
    assert found[unusable].json()["attempts"] == 1
    assert set(ids(store)) == {unusable, nothing}
    document = receiver.get("/orders/A").json()
    assert (document["events"], document["firstEventAt"]) == (1, "2026-01-01T00:00:00Z")
    (event,) = receiver.get("/orders/A/events").json()["events"]
    assert event["receivedAt"] == "2026-01-01T00:00:00.000000Z"  # its first time of receipt
    unknown = ask(receiver, "POST", f"/dead-letters/{usable}/replay")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "unknown-dead-letter"})


def test_a_selection_is_replayed_by_one_request(
    receiver: Receiver, store: Store, start: Callable[..., Process]
) -> None:
    for n in range(230):
        kept(store, body(n, f"R{n % 40}"), received=RECEIVED + n % 7)
    other = kept(store, body(500), reason="invalid-event")
    dead = kept(store, b'{"event":"order_unheard_of"}')
    planned = ask(receiver, "POST", "/dead-letters/replay?dryRun=true", json={"reason": "unknown-event"}).json()
    assert planned == {"selected": 231, "dryRun": True}
    answer = ask(receiver, "POST", "/dead-letters/replay", json={"reason": "unknown-event", "tenant": "default"})
    assert (answer.status_code, answer.json()["state"]) == (202, "running")  # no worker is alive
    start("worker")
    run = f"/dead-letters/replays/{answer.json()['replay']}"
    eventually(lambda: ask(receiver, "GET", run).json()["state"] == "done", what="the replay")
    done = ask(receiver, "GET", run).json()
    assert (done["counts"], done["done"], done["selected"]) == ({"folded": 230, "dead": 1}, 231, 231)
    assert set(ids(store)) == {other, dead}
    assert receiver.get("/orders/R0").json()["events"] == 6
    again = ask(receiver, "POST", "/dead-letters/replay?reason=unknown-event")
    assert (again.status_code, again.json()["state"], again.json()["counts"]) == (200, "done", {"dead": 1})
    assert ask(receiver, "GET", f"/dead-letters/{dead}").json()["attempts"] == 2
    deeds = ask(receiver, "GET", "/dead-letters/audit").json()["deeds"]
    assert [(each["who"], each["action"]) for each in deeds] == [("http:ops", "replayed"), ("http:ops", "replay")] * 2
    assert deeds[2]["outcome"] == {"folded": 230, "dead": 1}
    assert deeds[3]["what"]["selection"]["reason"] == "unknown-event"
    assert OPS_TOKEN not in str(deeds)


def test_a_replay_that_lost_its_carrier_is_carried_on(
    receiver: Receiver, store: Store, server: Server, start: Callable[..., Process]
) -> None:
    for n in range(450):
        kept(store, body(n, f"R{n % 90}"), received=RECEIVED + n)
    run = store.run(ask_for_replay("test", Selection(), 450))
    first = start("worker", GELATO_LEASE_SECONDS="1")

    def begun() -> bool:
        now = store.run(replay_runs.one(run.id))
        return now is not None and now.counts.get("folded", 0) > 0

    eventually(begun, what="some to be replayed")
    first.kill()
    left = len(store.run(letter_lists.page(limit=500, whole=False)).letters)
    assert left
    server.client.hset(f"gelato:replay:{{{run.id}}}", "until", 0)  # rather than wait for the end of its lease
    start("worker", GELATO_LEASE_SECONDS="1")
    eventually(lambda: not ids(store), seconds=20, what="the rest to be replayed")
    done = eventually(
        lambda: (now := store.run(replay_runs.one(run.id))) is not None and now.state == "done" and now, what="its end"
    )
    assert sum(done.counts.values()) == 450
    assert done.counts["folded"] > 0  # a lot that was on its way counts as gone meanwhile
    for n in range(90):
        assert receiver.get(f"/orders/R{n}").json()["events"] == 5


def test_a_replay_is_stopped_and_goes_on(receiver: Receiver, store: Store, start: Callable[..., Process]) -> None:
    for n in range(20):
        kept(store, body(n))
    run = store.run(ask_for_replay("test", Selection(), 20))
    path = f"/dead-letters/replays/{run.id}"
    assert ask(receiver, "POST", f"{path}/stop").json()["state"] == "stopped"
    start("worker")
    eventually(lambda: store.run(due.live_shifts()), what="the worker")
    other = kept(store, body(99, "B"))
    assert ask(receiver, "POST", f"/dead-letters/{other}/replay").json()["result"] == "folded"
    assert len(ids(store)) == 20
    assert ask(receiver, "POST", f"{path}/resume").json()["state"] == "running"
    eventually(lambda: not ids(store), what="the replay")
    actions = [each.action for each in store.run(audit.latest())]
    assert {"stop replay", "resume replay"} < set(actions)


def test_discarding_says_why_and_leaves_a_parked_event_parked(receiver: Receiver, store: Store) -> None:
    letter = kept(store, body())
    path = f"/dead-letters/{letter}"
    assert ask(receiver, "DELETE", path, params={"reason": "a test order"}).json()["result"] == "discarded"
    assert ask(receiver, "DELETE", path).status_code == 404
    assert ids(store) == []
    (done, begun) = store.run(audit.latest())
    assert (begun.action, begun.what["reason"], begun.who) == ("discard", "a test order", "http:ops")
    assert (done.action, done.outcome) == ("discarded", {"discarded": 1})
    assert store.run(dead_letters.one(letter)) is None


def test_a_replay_that_finds_its_order_full_stays_with_that_reason(store: Store) -> None:
    letter_of = kept(store, body())
    (letter,) = [each for each in store.run(letter_lists.page()).letters if each.id == letter_of]
    first = replay.send([letter])
    step = next(first)
    full = False
    while True:  # the script says that the order is full
        results = [
            [8] * len(call.items) if isinstance(call, Batch) and call.script is REPLAY else store.run(_one(call))
            for call in step
        ]
        full = full or results == [[8]]
        try:
            step = first.send(results)
        except StopIteration as end:
            (sent,) = end.value
            break
    assert full
    assert sent.fate is replay.Fate.DEAD
    (found,) = store.run(letter_lists.page()).letters
    assert (found.reason, found.detail, found.attempts) == ("order-limit", FULL, 1)
    assert [group.cause.reason for group in store.run(letter_lists.groups())] == ["order-limit"]


def test_deeds_and_replays_are_bounded(store: Store, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_DEEDS", 100)
    monkeypatch.setattr(replay_runs, "_MAX_KEPT", 5)
    for n in range(400):
        store.run(audit.note("test", "discard", {"n": n}))
    assert server.client.xlen(keys.DEAD_LETTERS_AUDIT) <= 200  # about
    assert [deed.what["n"] for deed in store.run(audit.latest(2))] == [399, 398]
    for _ in range(8):
        store.run(ask_for_replay("test", Selection(), 0))
    assert len(store.run(replay_runs.latest())) == 5


def _one(call: Call | Batch) -> Iterator[Any]:
    (result,) = yield [call]
    return result
