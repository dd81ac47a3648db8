"""`gelato-rollup dead-letters`: look, replay, discard, mend in an editor and send back."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from support.commands import Gelato, one_line
from support.polling import eventually
from support.processes import Process

from shared.store import Store, keys, letter_lists, orders, replay_runs
from shared.store.calls import one
from shared.store.dead_letters import DeadLetter, bury, letter_id

RECEIVED = 1_767_225_600_000_000


def body(n: int = 1, reference: str = "A", **more: object) -> bytes:
    event = {"id": f"e-{n}", "event": "order_item_status_updated", "orderId": f"{reference}-1", "status": "passed"}
    event |= {"orderReferenceId": reference, "itemReferenceId": f"item-{n}", "created": "2026-01-01T00:00:00Z"}
    return orjson.dumps({name: value for name, value in (event | more).items() if value is not None})


def kept(store: Store, payload: bytes, **more: Any) -> str:
    """A letter as a version buried it that could not use the payload."""
    letter = DeadLetter(letter_id("default", payload), "default", "unknown-event", "event: 'x'", payload, RECEIVED)
    letter = letter._replace(**more)
    store.run(bury(letter))
    return letter.id


def ids(store: Store) -> set[str]:
    return {each.id for each in store.run(letter_lists.page(limit=500, whole=False)).letters}


def said(answer: Any, code: int = 0) -> Any:
    assert answer.returncode == code, answer.stdout + answer.stderr
    return orjson.loads(answer.stdout)


def test_letters_are_listed_by_cause_and_shown_one_by_one(gelato: Gelato, store: Store) -> None:
    for n in range(3):
        kept(store, body(n), received=RECEIVED + n * 60_000_000, reference=f"R{n}")
    parked = kept(
        store, body(9), reason="fold-error", detail="KeyError: '\x1b[31m'", traceback="Traceback\n  line", reference="X"
    )
    listed = gelato("dead-letters", "list")
    assert listed.returncode == 0
    (line,) = [line for line in listed.stdout.splitlines() if "unknown-event" in line]
    assert line.split()[1:] == [
        "3",
        "default",
        "unknown-event",
        "event:",
        "'x'",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:02:00Z",
    ]
    assert "4 dead letters" in listed.stderr
    assert "\x1b" not in listed.stdout
    each = said(gelato("dead-letters", "list", "--order", "R1", "--json"))
    assert [letter["payload"] for letter in each["deadLetters"]] == [body(1).decode()]
    groups = said(gelato("dead-letters", "list", "--reason", "fold-error", "--json"))["groups"]
    assert [group["count"] for group in groups] == [1]
    recent = said(gelato("dead-letters", "list", "--since", "2026-01-01T00:00:30Z", "--limit", "1", "--json"))
    assert (len(recent["deadLetters"]), recent["total"]) == (1, 2)
    narrowed = gelato("dead-letters", "list", "--reason", "fold-error")
    assert "1 dead letter meant, of 4 in all" in narrowed.stderr
    shown = gelato("dead-letters", "show", parked)
    assert "KeyError" in shown.stdout
    assert '  "itemReferenceId": "item-9"' in shown.stdout
    assert "Traceback" in shown.stdout
    assert said(gelato("dead-letters", "show", parked, "--json"))["id"] == parked
    assert "no dead letter" in one_line(gelato("dead-letters", "show", "f" * 32), 1)


def test_a_cause_is_replayed_as_a_whole(gelato: Gelato, store: Store, start: Callable[..., Process]) -> None:
    for n in range(150):
        kept(store, body(n, f"R{n % 10}"))
    dead = kept(store, b'{"event":"order_unheard_of"}', detail="event: 'y'")
    group = store.run(letter_lists.groups(letter_lists.Selection(detail="'x'")))[0].id
    planned = gelato("dead-letters", "replay", "--group", group, "--dry-run")
    assert "150 dead letters would be replayed" in planned.stdout
    assert len(ids(store)) == 151
    assert store.run(replay_runs.latest()) == []
    start("worker")
    done = said(gelato("dead-letters", "replay", "--group", group, "--yes", "--json"))
    assert (done["counts"], done["state"]) == ({"folded": 150}, "done")
    assert ids(store) == {dead}

    def noted(
        count: int,
    ) -> list[dict[str, Any]] | None:  # the worker writes down what came of a replay when it is done
        deeds: list[dict[str, Any]] = said(gelato("dead-letters", "audit", "--json"))
        return deeds if len(deeds) == count else None

    eventually(lambda: noted(2), what="what came of the first")
    still = gelato("dead-letters", "replay", "--all", "--yes")
    assert still.returncode == 1
    assert "1  still dead" in still.stdout
    eventually(lambda: noted(4), what="what came of the second")
    one = said(gelato("dead-letters", "replay", dead, "--yes", "--json"), 1)
    assert one["counts"] == {"dead": 1}
    audit = eventually(lambda: noted(6), what="what came of the third")
    assert [deed["action"] for deed in audit] == ["replayed", "replay"] * 3
    assert {deed["who"].partition(":")[0] for deed in audit} == {"cli"}
    assert audit[4]["outcome"] == {"folded": 150}
    assert gelato("dead-letters", "audit").stdout.count("replayed") == 3
    assert len(gelato("dead-letters", "replays").stdout.splitlines()) == 3


def test_a_replay_that_is_interrupted_stops_and_goes_on(
    gelato: Gelato, store: Store, start: Callable[..., Process]
) -> None:
    for n in range(30):
        kept(store, body(n))
    following = start("dead-letters", "replay", "--all", "--yes")
    (run,) = eventually(lambda: store.run(replay_runs.latest()), what="the replay")
    following.send(signal.SIGINT)
    assert following.process is not None
    assert following.process.wait(10) == 1
    assert f"--resume {run.id}" in following.log.read_text()
    stopped = store.run(replay_runs.one(run.id))
    assert stopped is not None
    assert (stopped.state, len(ids(store))) == ("stopped", 30)
    start("worker")
    done = said(gelato("dead-letters", "replay", "--resume", run.id, "--json"))
    assert (done["state"], done["counts"]) == ("done", {"folded": 30})


def test_what_is_to_be_replayed_or_discarded_must_be_said(gelato: Gelato, store: Store) -> None:
    letter = kept(store, body())
    for arguments in (
        ("replay", "--yes"),
        ("replay", letter, "--all", "--yes"),
        ("replay", "--all", "--reason", "fold-error", "--yes"),
        ("discard", "--because", "x", "--yes"),
    ):
        assert "one of them" in one_line(gelato("dead-letters", *arguments), 2)
    assert gelato("dead-letters", "discard", letter, "--yes").returncode == 2  # not without saying why
    assert gelato("dead-letters", "list", "--since", "yesterday").returncode == 2
    assert ids(store) == {letter}


def test_a_script_is_not_asked_where_no_harm_is_done_and_told_so_where_it_is(
    gelato: Gelato, store: Store, start: Callable[..., Process]
) -> None:
    start("worker")
    for n in range(3):
        kept(store, body(n))
    named = kept(store, body(3), reason="invalid-event")
    rest = kept(store, body(4), reason="invalid-event")
    assert said(gelato("dead-letters", "replay", "--reason", "unknown-event", "--json"))["counts"] == {"folded": 3}
    assert gelato("dead-letters", "discard", named, "--because", "x").returncode == 0
    refused = gelato("dead-letters", "discard", "--all", "--because", "x")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert ids(store) == {rest}


def test_a_terminal_is_asked_in_full_before_letters_are_discarded(
    env: dict[str, str], store: Store, tmp_path: Path
) -> None:
    kept(store, body())
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops", "dead-letters", "discard", "--all", "--because", "x"]
    asking = subprocess.Popen(command, env=env, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        told, deadline = b"", time.monotonic() + 15.0
        while b"[y/N]" not in told:
            assert time.monotonic() < deadline, told
            assert select.select([ours], [], [], 15.0)[0], told
            told += os.read(ours, 4_096)
        assert b"Discard 1 dead letter? This cannot be undone [y/N]" in told
        os.write(ours, b"y\n")
        assert asking.wait(15) == 0
        assert ids(store) == set()
    finally:
        asking.kill()
        asking.wait()
        os.close(ours)
        os.close(theirs)


def test_discarding_that_is_interrupted_says_how_many_are_left_and_goes_on(
    start: Callable[..., Process], gelato: Gelato, store: Store
) -> None:
    for n in range(6_000):
        kept(store, b"%d" % n)
    discard = ("dead-letters", "discard", "--reason", "unknown-event", "--because", "x", "--yes")
    running = start(*discard)
    eventually(lambda: store.run(letter_lists.count()) < 6_000, what="the first to be gone")
    running.send(signal.SIGINT)
    assert running.process is not None
    assert running.process.wait(15) == 1
    left = store.run(letter_lists.count())
    assert 0 < left < 6_000
    assert f"{left} left; the same command goes on" in running.log.read_text()
    gone = said(gelato("dead-letters", "audit", "--json"))[0]
    assert (gone["action"], gone["outcome"]) == ("discarded", {"discarded": 6_000 - left})
    assert said(gelato(*discard, "--json")) == {"discarded": left}


def test_an_empty_list_says_so(gelato: Gelato, store: Store) -> None:
    assert gelato("dead-letters", "list").stderr == "no dead letters\n"
    kept(store, body())
    answer = gelato("dead-letters", "list", "--order", "nobody's")
    assert (answer.stdout, answer.stderr) == ("", "none of the 1 dead letter is meant by these options\n")
    assert gelato("orders", "list").stderr == "no such orders\n"


def test_letters_are_discarded_with_a_reason(gelato: Gelato, store: Store) -> None:
    for n in range(5):
        kept(store, body(n), reason="invalid-event")
    other = kept(store, body(9))
    done = gelato("dead-letters", "discard", "--reason", "invalid-event", "--because", "a partner's test", "--yes")
    assert done.stdout == "5 discarded\n"
    assert ids(store) == {other}
    assert "were not there" in gelato("dead-letters", "discard", "f" * 32, "--because", "x", "--yes").stderr
    (discarded, *_) = [deed for deed in said(gelato("dead-letters", "audit", "--json")) if deed["outcome"]][::-1]
    assert (discarded["what"]["reason"], discarded["outcome"]) == ("a partner's test", {"discarded": 5})


def test_a_payload_is_mended_in_an_editor_and_sent_back(
    gelato: Gelato, store: Store, tmp_path: Path, start: Callable[..., Process]
) -> None:
    start("worker")
    mended = kept(store, body(1, status=None), reason="invalid-event", received=RECEIVED + 5)
    moved = kept(store, body(2, status=7), reason="invalid-event", reference="A")
    left = kept(store, body(3, status=None), reason="invalid-event")
    gone = kept(store, body(4, status=None), reason="invalid-event")
    exported = tmp_path / "letters.jsonl"
    assert gelato("dead-letters", "export", "--reason", "invalid-event", "--output", str(exported)).returncode == 0
    lines = {each["id"]: each for each in map(orjson.loads, exported.read_bytes().splitlines())}
    assert set(lines) == {mended, moved, left, gone}
    assert lines[mended]["receivedAt"] == "2026-01-01T00:00:00.000005Z"
    gelato("dead-letters", "discard", gone, "--because", "too early", "--yes")
    lines[mended]["payload"] = body(1).decode()
    lines[moved]["payload"] = orjson.loads(body(2, "B"))  # as an object, and of another order
    lines[gone]["payload"] = body(4).decode()
    bad = b'{"payload": 5}\n\nnot json\n' + orjson.dumps(lines[mended]) + b"\n"
    exported.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in lines.values()) + bad)
    answer = gelato("dead-letters", "import", str(exported), "--json")
    said_of = said(answer, 1)
    assert said_of["counts"] == {"folded": 3}
    problems = {each["line"]: each["problem"] for each in said_of["problems"]}
    number = list(lines).index(left) + 1
    assert problems.pop(number) == "payload: status: missing"
    assert problems.pop(5).startswith("payload: must be")
    assert problems.pop(7).startswith("not JSON")
    assert problems.pop(8).startswith("id: the same as in line")
    assert problems == {}
    assert f"line {number}: payload: status: missing" in answer.stderr
    assert ids(store) == {left}
    assert store.run(one("GET", keys.DEAD_LETTERS_BYTES)) == b"%d" % len(body(3, status=None))
    log = store.run(orders.log("default", "A"))
    assert {record.received for record in log if record.is_event} == {RECEIVED, RECEIVED + 5}
    assert store.run(orders.document("default", "B")) is not None


def test_a_mended_snapshot_keeps_nothing_personal(
    gelato: Gelato, store: Store, tmp_path: Path, start: Callable[..., Process]
) -> None:
    start("worker")
    snapshot = {"id": "A-1", "orderReferenceId": "A", "updatedAt": "2026-01-01T00:00:00Z"}
    letter = kept(store, orjson.dumps(snapshot), reason="invalid-event", came_as="posted")
    line = said(gelato("dead-letters", "show", letter, "--json"))
    line["payload"] = orjson.dumps(snapshot | {"fulfillmentStatus": "passed", "shippingAddress": "Jane Roe"}).decode()
    (tmp_path / "mended").write_bytes(orjson.dumps(line))
    assert said(gelato("dead-letters", "import", str(tmp_path / "mended"), "--json"))["counts"] == {"folded": 1}
    assert b"Jane" not in b"".join(record.text for record in store.run(orders.log("default", "A")))
    assert ids(store) == set()
