"""An erased order stays erased, whoever was at work on it; and what comes for it afterwards is a new order."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from support.commands import Gelato
from support.contents import traces
from support.events import now_us, webhook
from support.folding.mortal import Died, Mortal
from support.orders import accept, document, fold, fold_all, fold_once, letters
from support.polling import eventually
from support.server import Server

from ops.erase import erase_all
from receiver.door import LETTER, Door
from receiver.drain import Drain
from receiver.spool import Entry, Spool
from shared.rollup import Limits
from shared.settings import Settings
from shared.store import AsyncStore, Store, erasing, keys, orders, scripts
from shared.store.dead_letters import DeadLetter
from shared.store.erasing import Received
from shared.store.intake import Incoming
from worker.advance import Policy
from worker.rebuild import rebuild

Mortals = Callable[[], Mortal]


def erase(store: Store, reference: str) -> None:
    store.run(orders.erase("default", reference))


def die(_: object) -> None:
    raise Died


def items(store: Store, reference: str, tenant: str = "default") -> list[str]:
    return sorted(document(store, reference, tenant)["items"])


@pytest.mark.parametrize("how", ["fold in one call", "fold step by step", "rebuild"])
def test_what_was_folded_of_an_erased_order_is_not_written_to_the_one_that_comes_after_it(
    store: Store, mortal: Mortals, how: str
) -> None:
    slow = mortal(one_call="one call" in how)
    accept(store, webhook("A", itemReferenceId="erased"))

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, webhook("A", itemReferenceId="new"))

    slow.before[scripts.FINISH if slow.one_call else scripts.COMMIT] = come_between
    if "fold" in how:
        assert fold_once(slow).conflicts == 1
    else:
        rebuild(slow, "default", "A", Policy())
    fold_all(store)
    assert items(store, "A") == ["new"]


def test_what_was_packed_of_an_erased_order_is_not_put_into_the_log_of_the_one_that_comes_after_it(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    first = [webhook("A", n, status="delivered", itemReferenceId="mug", comment="erased") for n in range(2)]
    accept(store, *first)

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, *(webhook("A", n, status="passed", comment="new") for n in range(2)))
        fold(store)

    slow.before[scripts.PACK] = come_between
    fold_once(slow)
    assert traces(server, "erased") == []
    assert len(store.run(orders.log("default", "A"))) == 2
    assert rebuild(store, "default", "A", Policy()) is False


def test_a_change_that_is_announced_after_its_order_was_erased_is_taken_back(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    accept(store, webhook("gone"), webhook("kept"))
    slow.before[scripts.INDEX] = lambda _: erase(store, "gone")
    fold_once(slow)
    assert traces(server, "gone") == []
    assert [each.reference for each in store.run(orders.newest("default", None, 10))] == ["kept"]
    assert server.client.xlen(keys.CHANGES) == 1


def test_a_late_announcement_does_not_take_the_next_order_of_that_name_out_of_the_index(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    accept(store, webhook("A", itemReferenceId="erased"))

    def come_between(_: object) -> None:
        erase(store, "A")
        accept(store, webhook("A", itemReferenceId="new"))
        fold(store)

    slow.before[scripts.ANNOUNCED] = come_between
    fold_once(slow)
    assert items(store, "A") == ["new"]
    assert [each.reference for each in store.run(orders.newest("default", None, 10))] == ["A"]
    assert [fields[b"version"] for _, fields in server.client.xrange(keys.CHANGES)] == [b"1"]


def test_a_change_that_waited_and_is_announced_after_the_erasure_is_taken_back(
    store: Store, server: Server, mortal: Mortals
) -> None:
    accept(store, webhook("gone"))
    dying = mortal()
    dying.before[scripts.INDEX] = die
    with pytest.raises(Died):
        fold_once(dying, lease_seconds=0.01)
    late = mortal()
    late.before[scripts.INDEX] = lambda _: erase(store, "gone")
    eventually(lambda: fold_once(late).orders == 1, what="the lease to end")
    assert traces(server, "gone") == []


def test_a_dead_letter_that_is_kept_after_the_erasure_is_taken_back(
    store: Store, server: Server, mortal: Mortals
) -> None:
    slow = mortal()
    accept(store, *(webhook("gone", n) for n in range(3)), *(webhook("kept", n) for n in range(3)))
    slow.before[scripts.BURY] = lambda _: erase(store, "gone")
    tally = fold_once(slow, Policy(limits=Limits(lines=2)))
    assert tally.parked == 2
    assert traces(server, "gone") == []
    assert [letter["orderReferenceId"] for letter in letters(server)] == [b"kept"]


@dataclass
class House:
    """A store, and a spool of another machine than the command line's."""

    url: str
    store: Store
    directory: Path

    def spool(self, *events: Incoming, letters: Sequence[DeadLetter] = (), directory: Path | None = None) -> None:
        """Put events into a spool."""

        async def put() -> None:
            spool = Spool(directory or self.directory, max_events=1_000, max_bytes=1 << 20)
            entries = [Entry(each.received, "W", each.tenant, each.event.text) for each in events]
            entries += [Entry(each.received, LETTER, each.tenant, msgspec.msgpack.encode(each)) for each in letters]
            for entry in entries:
                await spool.put(entry)
            await spool.close()

        asyncio.run(put())

    def drain(self) -> None:
        """Drain the spool."""

        async def until_empty() -> None:
            store = AsyncStore.from_url(self.url)
            spool = Spool(self.directory, max_events=1_000, max_bytes=1 << 20)
            door = Door(store, spool, 0.15, 100, lambda: None, lambda _: None)
            drain = Drain(spool, door)
            drain.start()
            try:
                async with asyncio.timeout(10):
                    while (await spool.totals()).events:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            finally:
                await drain.stop()
                await door.drain()
                await spool.close()
                await store.close()

        asyncio.run(until_empty())


@pytest.fixture
def house(server: Server, store: Store, tmp_path: Path) -> House:
    return House(server.url, store, tmp_path / "another-machine")


def test_what_waits_in_a_spool_of_an_erased_order_does_not_come_back_and_what_comes_later_does(
    house: House, store: Store, server: Server, gelato: Gelato
) -> None:
    accept(store, webhook("gone", 1), webhook("kept", 1))
    fold(store)
    letter = DeadLetter("a" * 32, "default", "invalid-event", "status", b"{}", now_us(), "gone")
    house.spool(webhook("gone", 2), webhook("kept", 2), letters=[letter])
    assert gelato("orders", "erase", "gone", "--yes").returncode == 0
    house.drain()
    fold(store)
    assert traces(server, "gone") == []
    assert document(store, "kept")["events"] == 2
    house.spool(webhook("gone", 3))
    house.drain()
    fold(store)
    assert items(store, "gone") == ["item-3"]


def test_what_waits_in_a_spool_of_an_erased_tenant_does_not_come_back(
    house: House, store: Store, server: Server, gelato: Gelato
) -> None:
    accept(store, webhook("one", tenant="gone"), webhook("one", tenant="kept"))
    house.spool(webhook("two", tenant="gone"), webhook("two", tenant="kept"))
    assert gelato("orders", "erase", "--whole-tenant", "--tenant", "gone", "--yes").returncode == 0
    house.drain()
    fold(store)
    assert traces(server, "gone") == []
    assert items(store, "one", "kept") == items(store, "two", "kept") == ["item-1"]


def test_an_erasure_waits_for_what_a_spool_has_on_its_way(
    store: Store, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    event = webhook("gone")
    received = Received("default", "gone", event.received)
    assert store.run(erasing.begin_batch("a-batch", [received])) == [False]
    with contextlib.closing(Store.from_url(server.url)) as other, ThreadPoolExecutor(1) as pool:
        erasing_it = pool.submit(erase_all, other, Settings(data_dir=tmp_path), "default", "gone")
        eventually(lambda: server.client.exists(keys.erased("default", "gone")), what="the note of the erasure")
        assert not erasing_it.done()
        accept(store, event)
        store.run(erasing.end_batch("a-batch"))
        assert erasing_it.result(10).orders == 1
    assert traces(server, "gone") == []


def test_a_batch_whose_receiver_died_does_not_hold_an_erasure_up_for_ever(
    store: Store, server: Server, gelato: Gelato, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_DRAIN_MS", 300)
    accept(store, webhook("gone"))
    store.run(erasing.begin_batch("a-batch", []))
    assert gelato("orders", "erase", "gone", "--yes").returncode == 0
    assert traces(server, "gone") == []


def test_erase_looks_into_the_spool_of_its_own_machine(
    house: House, store: Store, gelato: Gelato, env: dict[str, str]
) -> None:
    directory = Path(env["GELATO_DATA_DIR"]) / "spool"
    house.spool(webhook("gone", 1), webhook("kept", 1), webhook("gone", 1, tenant="other"), directory=directory)
    answer = gelato("orders", "erase", "gone", "--yes")
    assert (answer.returncode, "1 spooled events" in answer.stdout) == (0, True), answer.stdout + answer.stderr
    with contextlib.closing(sqlite3.connect(directory / "spool.sqlite")) as database:
        left = [(tenant, body) for tenant, body in database.execute("SELECT tenant, body FROM entries ORDER BY id")]
        assert [tenant for tenant, _ in left] == ["default", "other"]
        assert b"kept" in left[0][1]
        assert database.execute("SELECT events FROM totals").fetchone() == (2,)
        # A receiver has it open too: nothing is tidied up at the end, when the last one closes it.
        assert gelato("orders", "erase", "gone", "--tenant", "other", "--yes").returncode == 0
        assert not any(b"gone" in file.read_bytes() for file in directory.iterdir())


def test_the_note_of_an_erasure_names_nothing_and_ends(store: Store, server: Server, gelato: Gelato) -> None:
    accept(store, webhook("gone"))
    assert gelato("orders", "erase", "gone", "--yes").returncode == 0
    (note,) = server.client.keys("gelato:erased:*")
    assert note.decode() == keys.erased("default", "gone")
    assert 0 < server.client.ttl(note) <= erasing.KEPT_DAYS * 86_400
