"""`gelato_rollup.Reader` against a real server: documents, groups of consumers, restarts, a trimmed stream."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.events import webhook
from support.orders import accept, fold
from support.polling import eventually
from support.server import Server

import gelato_rollup
from gelato_rollup import Change, Reader
from shared.store import Store, changes, folding, keys, orders
from shared.store.calls import Operation
from shared.store.changes import Entry
from shared.store.folding import Announcement

GROUP = "shipping"
_numbers = itertools.count()


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    with Reader(server.url) as reader:
        yield reader


def change(store: Store, *references: str, tenant: str = "default") -> None:
    """A new version of each order, folded and announced."""
    accept(store, *(webhook(reference, next(_numbers), tenant=tenant) for reference in references))
    fold(store)


def begin(store: Store) -> None:
    """Make the group, which begins now, after what was told before."""
    change(store, "long-before")
    assert store.run(changes.create_group(GROUP))


def names(found: list[Change]) -> list[tuple[str, int]]:
    return [(each["orderReferenceId"], each["version"]) for each in found]


def take(watching: Iterator[Change], count: int) -> list[Change]:
    return list(itertools.islice(watching, count))


def until(watching: Iterator[Change], last: str) -> list[str]:
    """The references that come before that of the last one."""
    return [each["orderReferenceId"] for each in itertools.takewhile(lambda c: c["orderReferenceId"] != last, watching)]


def test_get_gives_the_document_as_stored_and_none_for_an_unknown_order(store: Store, reader: Reader) -> None:
    change(store, "ä/{1}")
    document = reader.get("ä/{1}")
    assert document is not None
    assert document == orjson.loads(store.run(orders.document("default", "ä/{1}")) or b"")
    assert document["orderReferenceId"] == "ä/{1}"
    assert reader.get("unknown") is None
    assert reader.get("ä/{1}", tenant="other") is None


def test_a_server_that_is_away_is_told_by_one_error(tmp_path: Any) -> None:
    with (
        Reader(f"unix://{tmp_path}/nobody") as reader,
        pytest.raises(gelato_rollup.StoreUnavailable),
    ):
        reader.get("A")


def test_each_change_comes_in_order_with_what_it_says(store: Store, reader: Reader) -> None:
    change(store, "before")
    begin(store)
    for reference in ("A", "B", "A"):
        change(store, reference)
    found = take(reader.watch(GROUP, "one"), 3)
    assert names(found) == [("A", 1), ("B", 1), ("A", 2)]
    document = reader.get("A")
    assert document is not None
    assert found[2] == {
        "tenant": "default",
        "orderReferenceId": "A",
        "version": 2,
        "status": "passed",
        "previousStatus": "passed",
        "terminal": False,
        "at": document["updatedAt"],
    }
    assert found[0]["previousStatus"] is None


def test_after_a_restart_what_was_not_acknowledged_comes_again_and_the_rest_does_not(
    store: Store, reader: Reader
) -> None:
    begin(store)
    for n in range(5):
        change(store, f"R{n}")
    watching = reader.watch(GROUP, "one")
    assert names(take(watching, 3)) == [("R0", 1), ("R1", 1), ("R2", 1)]
    del watching  # the third was given and not acknowledged
    change(store, "R5")
    again = reader.watch(GROUP, "one")
    assert names(take(again, 4)) == [("R2", 1), ("R3", 1), ("R4", 1), ("R5", 1)]


def test_all_that_was_acknowledged_is_gone_from_the_group(store: Store, server: Server, reader: Reader) -> None:
    begin(store)
    change(store, "A", "B", "C")
    watching = reader.watch(GROUP, "one")
    take(watching, 3)
    change(store, "D")
    take(watching, 1)
    assert server.client.xpending(keys.CHANGES, GROUP)["pending"] == 1


def test_another_consumer_takes_over_what_a_dead_one_left(store: Store, server: Server, reader: Reader) -> None:
    begin(store)
    change(store, "A", "B", "C")
    dead = reader.watch(GROUP, "dead")
    first = take(dead, 1)
    with Reader(server.url) as other:
        heir = other.watch(GROUP, "heir", take_over_seconds=0.2)
        found = take(heir, 3)
    assert sorted(names(found)) == [("A", 1), ("B", 1), ("C", 1)]
    assert first[0] in found


def test_what_a_living_consumer_works_at_is_not_taken_from_it(store: Store, server: Server, reader: Reader) -> None:
    begin(store)
    change(store, "A")
    change(store, "B")
    slow = reader.watch(GROUP, "slow")
    take(slow, 1)
    change(store, "C")
    with Reader(server.url) as other:
        assert names(take(other.watch(GROUP, "other"), 1)) == [("C", 1)]
    assert names(take(slow, 1)) == [("B", 1)]


def test_two_consumers_share_the_work_and_leave_nothing_out(store: Store, server: Server) -> None:
    begin(store)
    got: dict[str, list[str]] = {"one": [], "two": []}
    finished = threading.Event()

    def work(name: str) -> None:
        with Reader(server.url) as mine:
            for each in mine.watch(GROUP, name):
                if each["orderReferenceId"].startswith("end"):
                    if finished.is_set():
                        return
                    continue
                got[name].append(each["orderReferenceId"])

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in got]
    for thread in threads:
        thread.start()
    references = [f"R{n}" for n in range(60)]
    for reference in references:
        change(store, reference)
    eventually(lambda: len(got["one"]) + len(got["two"]) >= 60, what="all changes to be read")
    finished.set()
    for n in itertools.count():
        change(store, f"end-{n}")
        for thread in threads:
            thread.join(0.05)
        if not any(thread.is_alive() for thread in threads):
            break
        assert n < 200
    assert sorted(got["one"] + got["two"]) == sorted(references)
    assert got["one"]
    assert got["two"]


def test_a_group_whose_stream_was_trimmed_is_told_which_orders_changed(
    store: Store, server: Server, reader: Reader
) -> None:
    begin(store)
    change(store, "A")
    watching = reader.watch(GROUP, "one")
    take(watching, 1)
    change(store, "B", "C")
    change(store, "B")
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    change(store, "last")
    found = list(itertools.takewhile(lambda each: each["orderReferenceId"] != "last", watching))
    caught_up = {(each["orderReferenceId"], each["version"], each["previousStatus"]) for each in found}
    assert {("B", 2, None), ("C", 1, None)} <= caught_up


def test_a_restarted_consumer_notices_that_the_stream_was_emptied(store: Store, server: Server, reader: Reader) -> None:
    begin(store)
    change(store, "A", "B")
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    # Errs on the side of yes: what changed in the seconds before comes too.
    assert {("A", 1), ("B", 1)} <= set(names(take(reader.watch(GROUP, "one"), 3)))


def test_what_was_given_and_then_trimmed_is_caught_up_too(store: Store, server: Server, reader: Reader) -> None:
    # A page holds changes of the last two minutes; its reader dies over the first of them.
    now_ms = server.client.time()[0] * 1000
    change(store, "A", "B")
    server.client.delete(keys.CHANGES)
    told = {b"tenant": "default", b"version": 1, b"status": "passed", b"previousStatus": "", b"terminal": "false"}
    for reference, ago_ms in (("before", 180_000), ("A", 120_000), ("B", 0)):
        entry: Any = told | {b"orderReferenceId": reference, b"at": "2026-01-01T00:00:00Z"}
        server.client.xadd(keys.CHANGES, entry, id=f"{now_ms - ago_ms}-1")
        server.client.zadd(keys.index("default"), {reference: now_ms - ago_ms})
    server.client.xgroup_create(keys.CHANGES, GROUP, id=f"{now_ms - 180_000}-1")
    watching = reader.watch(GROUP, "one")
    assert names(take(watching, 1)) == [("A", 1)]
    del watching
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    again = reader.watch(GROUP, "one")
    change(store, "last")
    assert {"A", "B"} <= set(until(again, "last"))


def test_what_a_dead_consumer_was_given_and_was_then_trimmed_is_caught_up_by_its_heir(
    store: Store, server: Server, reader: Reader
) -> None:
    begin(store)
    change(store, "A", "B")
    dead = reader.watch(GROUP, "dead")
    take(dead, 1)
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    eventually(lambda: server.client.xpending_range(keys.CHANGES, GROUP, "-", "+", 1, idle=100), what="it to be idle")
    with Reader(server.url) as other:
        heir = other.watch(GROUP, "heir", take_over_seconds=0.05)
        change(store, "last")
        assert {"A", "B"} <= set(until(heir, "last"))


def test_no_order_is_skipped_when_orders_change_during_the_catching_up(
    store: Store, server: Server, reader: Reader
) -> None:
    begin(store)
    references = [f"R{n:03}" for n in range(150)]
    for reference in references:
        change(store, reference)
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    watching = reader.watch(GROUP, "one")
    met = {each["orderReferenceId"] for each in take(watching, 50)}
    change(store, *references[:10])  # they move to the end of the index
    change(store, "last")
    met |= set(until(watching, "last"))
    assert set(references) - met == set()


def test_a_change_that_was_told_late_is_caught_up(store: Store, server: Server, reader: Reader) -> None:
    # Its worker died after the commit; another told of it when the lease had ended, with its own time.
    begin(store)
    change(store, "A", "B")
    watching = reader.watch(GROUP, "one")
    take(watching, 2)
    seconds, _ = server.client.time()
    late = Announcement(1, "passed", None, False, (int(seconds) - 20) * 1_000_000)
    (loaded,) = store.run(folding.load(["default/A"]))
    store.run(folding.announce([folding.Change("default/A", loaded.generation, late.encoded())]))
    server.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    change(store, "last")
    assert "A" in until(watching, "last")


def test_follow_gives_what_comes_from_now_on(store: Store, server: Server) -> None:
    change(store, "before")
    got: list[Change] = []

    def follow() -> None:
        with Reader(server.url) as mine:
            got.extend(take(mine.follow(), 3))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    eventually(lambda: server.client.info("clients")["blocked_clients"] == 1, what="it to follow")
    change(store, "A", "B")
    change(store, "A")
    thread.join(10)
    assert sorted(names(got)) == [("A", 1), ("A", 2), ("B", 1)]


def test_follow_misses_nothing_between_two_reads(store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.reader._BLOCK_MS", 20)
    right = changes.read
    reads = itertools.count()

    def read(after: bytes | str, count: int, block_ms: int) -> Operation[list[Entry]]:
        if next(reads) == 1:  # the first has found nothing: this comes just before the second
            change(store, "A")
        return right(after, count, block_ms)

    monkeypatch.setattr(changes, "read", read)
    stop = threading.Timer(2.0, lambda: change(store, "too late"))
    stop.start()
    assert names(take(reader.follow(), 1)) == [("A", 1)]
    stop.join()


def test_two_groups_each_get_everything(store: Store, reader: Reader) -> None:
    for group in ("one", "two"):
        store.run(changes.create_group(group))
    change(store, "A")
    assert [names(take(reader.watch(group, "c"), 1)) for group in ("one", "two")] == [[("A", 1)], [("A", 1)]]
