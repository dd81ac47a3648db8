"""Events whose fold raises, orders that cannot be folded at all, and errors that are nobody's fault."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from support import events
from support.orders import accept, document, fold_all, fold_once, letters, nothing_waits
from support.polling import eventually
from support.server import Server

from shared import document as documents
from shared import facts, rollup, typed
from shared.settings import Settings
from shared.store import Store, keys, orders, scripts
from shared.store.calls import Batch, Step
from shared.store.dead_letters import letter_id
from shared.store.intake import Incoming
from worker import fold as worker_fold
from worker.advance import Policy
from worker.rebuild import rebuild
from worker.shift import policy_of

POISON = "poison"
#: Tries follow each other fast.
FAST = Policy(tries=3, backoff_ms=30)
#: The second try is far away.
SLOW = Policy(tries=3, backoff_ms=60_000)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log lines are kept: drawing a hundred tracebacks takes longer than all else here."""
    with structlog.testing.capture_logs():
        yield


class Bug:
    """A bug in the code, for events that speak of the item `poison`, until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.error: Exception = ValueError("a bug for tests")

    def bite(self, items: Any) -> None:
        if not self.mended and POISON in items:
            raise self.error


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in reading events."""
    bug, right = Bug(), typed.read_facts

    def wrong(*arguments: Any) -> facts.Facts:
        said = right(*arguments)
        bug.bite([line.reference for line in said.lines])
        return said

    monkeypatch.setattr(typed, "read_facts", wrong)
    return bug


@pytest.fixture
def joining(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in the fold, after half of the state was changed."""
    bug, right = Bug(), rollup.join

    def wrong(state: rollup.State, said: facts.Facts, *rest: Any) -> None:
        right(state, said, *rest)
        bug.bite([line.reference for line in said.lines])

    monkeypatch.setattr(rollup, "join", wrong)
    return bug


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Bug:
    """A bug in making the document from a state that holds the item."""
    bug, right = Bug(), documents.build

    def wrong(tenant: str, reference: str, state: rollup.State, *rest: Any) -> Any:
        bug.bite([item for connected in state.orders.values() for item in connected.lines])
        return right(tenant, reference, state, *rest)

    monkeypatch.setattr(documents, "build", wrong)
    return bug


@pytest.fixture(params=["reading", "joining", "building"])
def bug(request: pytest.FixtureRequest) -> Bug:
    """The same bug in each of three places."""
    found: Bug = request.getfixturevalue(request.param)
    return found


def webhook(reference: str, item: str, status: str = "passed", n: int = 1) -> Incoming:
    return events.webhook(reference, n, id=f"{item}-{n}", itemReferenceId=item, status=status)


def is_or_will_be_dealt_with(server: Server, reference: str) -> bool:
    """Whether the order is due some time, or its event is a dead letter: invariant 2."""
    name = keys.order_name("default", reference)
    return server.client.zscore(keys.due(keys.shard_of(name)), name) is not None or bool(letters(server))


def test_the_other_events_of_its_order_are_folded_at_once(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("A", "cap"))
    tally = fold_once(store, SLOW)
    found = document(store, "A")
    assert sorted(found["items"]) == ["cap", "mug"]
    assert (found["events"], found["version"]) == (2, 1)
    assert (tally.events, tally.failed, tally.parked) == (2, 1, 0)
    assert letters(server) == []


def test_after_its_tries_it_is_a_dead_letter_that_tells_all(store: Store, server: Server, bug: Bug) -> None:
    poison = webhook("A", POISON)
    accept(store, poison, webhook("A", "mug"))
    fold_all(store, FAST)
    (letter,) = letters(server)
    traceback = letter.pop("traceback").decode()
    assert "ValueError: a bug for tests" in traceback
    assert "in bite" in traceback
    assert letter.pop("detail") == b"ValueError: a bug for tests"
    assert orjson.loads(letter.pop("payload")) == poison.event.content
    assert letter == {
        "tenant": b"default",
        "reason": b"fold-error",
        "receivedAt": b"%d" % poison.received,
        "lastSeenAt": b"%d" % poison.received,
        "attempts": b"3",
        "count": b"1",
        "cameAs": b"webhook",
        "orderReferenceId": b"A",
    }
    assert server.client.zrange(keys.DEAD_LETTERS, 0, -1) == [letter_id("default", poison.event.text).encode()]
    assert sorted(document(store, "A")["items"]) == ["mug"]


def test_the_waits_between_its_tries_grow_from_the_setting(store: Store, server: Server, reading: Bug) -> None:
    policy = policy_of(Settings.from_environment({"GELATO_FOLD_BACKOFF_SECONDS": "0.04", "GELATO_FOLD_TRIES": "3"}))
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    tried: list[int] = []

    def tried_again() -> bool:
        claimed = fold_once(store, policy)
        if claimed.orders:
            tried.append(time.monotonic_ns() // 1_000_000)
        return nothing_waits(store)

    eventually(tried_again)
    assert len(tried) == 3
    assert tried[1] - tried[0] >= 35
    assert tried[2] - tried[1] >= 115
    assert [letter["attempts"] for letter in letters(server)] == [b"3"]


def test_other_orders_of_its_batch_are_untouched(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("B", POISON), webhook("C", "mug"))
    assert fold_once(store, SLOW).orders == 3
    assert [document(store, each)["version"] for each in ("A", "C")] == [1, 1]
    assert letters(server) == []


def test_a_bug_that_is_mended_in_time_costs_nothing(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON))
    fold_once(store, FAST)
    bug.mended = True
    fold_all(store, FAST)
    found = document(store, "A")
    assert (sorted(found["items"]), found["events"]) == (["mug", POISON], 2)
    assert letters(server) == []
    assert not rebuild(store, "default", "A", FAST)


def test_an_order_of_which_nothing_could_be_folded_is_not_called_canceled(
    store: Store, server: Server, bug: Bug
) -> None:
    accept(store, webhook("A", POISON))
    fold_all(store, FAST)
    assert len(letters(server)) == 1
    raw = store.run(orders.document("default", "A"))
    assert raw is None or orjson.loads(raw)["status"] != "canceled"
    told = [fields for _, fields in server.client.xrange(keys.CHANGES)]
    assert not any(fields[b"status"] == b"canceled" or fields[b"terminal"] == b"true" for fields in told)


def test_events_that_come_while_it_waits_for_its_next_try_are_folded_at_once(store: Store, reading: Bug) -> None:
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    fold_once(store, SLOW)
    accept(store, webhook("A", "cap"))
    fold_once(store, SLOW)
    assert sorted(document(store, "A")["items"]) == ["cap", "mug"]


class Dying(BaseException):
    """The end of a worker."""


class Hooked(Store):
    """A store that calls back before a step with a certain script, once."""

    script: scripts.Script | None = None
    hook: Callable[[], None] | None = None

    def _step(self, step: Step) -> list[Any]:
        if self.hook and any(isinstance(call, Batch) and call.script is self.script for call in step):
            hook, self.hook = self.hook, None
            hook()
        return super()._step(step)


def test_a_try_that_is_still_to_come_survives_the_death_of_its_worker(
    store: Store, server: Server, reading: Bug
) -> None:
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    mortal = Hooked(store.client, cluster=False)

    def die() -> None:
        raise Dying

    mortal.script, mortal.hook = scripts.RELEASE, die
    with pytest.raises(Dying):
        fold_once(mortal, SLOW, lease_seconds=0.02)
    eventually(lambda: fold_once(store, SLOW).orders, what="the lease to end")
    assert is_or_will_be_dealt_with(server, "A")


@pytest.mark.parametrize("what", ["a duplicate", "another event"])
def test_a_try_that_is_still_to_come_survives_what_comes_during_a_fold(
    store: Store, server: Server, reading: Bug, what: str
) -> None:
    poison = webhook("A", POISON)
    accept(store, poison, webhook("A", "mug"))
    hooked = Hooked(store.client, cluster=False)
    # Between claim and load, so that it is folded with the rest; its mark remains.
    hooked.script = scripts.LOAD
    hooked.hook = lambda: accept(store, poison if what == "a duplicate" else webhook("A", "cap"))
    fold_once(hooked, SLOW)
    fold_once(store, SLOW)
    assert is_or_will_be_dealt_with(server, "A")


def test_a_rebuild_does_not_forget_an_event_that_waits_for_its_next_try(
    store: Store, server: Server, reading: Bug
) -> None:
    policy = Policy(tries=2, backoff_ms=150)
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    fold_once(store, policy)
    rebuild(store, "default", "A", policy)
    fold_all(store, policy)
    assert [letter["reason"] for letter in letters(server)] == [b"fold-error"]


def test_a_rebuild_with_a_new_bug_loses_no_event(store: Store, server: Server, reading: Bug) -> None:
    reading.mended = True
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    fold_all(store, FAST)
    reading.mended = False
    try:
        rebuild(store, "default", "A", FAST)
    except Exception:  # to refuse is fine
        assert document(store, "A")["events"] == 2
        return
    fold_all(store, FAST)
    assert document(store, "A")["events"] == 2 or letters(server)


def test_a_rebuild_skips_parked_events_and_changes_nothing(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("A", "cap"))
    fold_all(store, FAST)
    accept(store, webhook("A", "pen"))
    fold_all(store, FAST)
    before = store.run(orders.document("default", "A"))
    for mended in (False, True):
        bug.mended = mended
        assert rebuild(store, "default", "A", FAST) is False
        assert store.run(orders.document("default", "A")) == before
    assert len(letters(server)) == 1
    assert server.client.xlen(keys.CHANGES) == document(store, "A")["version"]


def test_many_poison_events_of_one_order_are_all_parked_and_the_rest_is_folded(
    store: Store, server: Server, reading: Bug
) -> None:
    accept(store, *(webhook("A", POISON if n % 2 else "mug", n=n) for n in range(40)))
    fold_all(store, FAST)
    assert document(store, "A")["events"] == 20
    assert len(letters(server)) == 20
    assert not rebuild(store, "default", "A", FAST)
    assert document(store, "A")["version"] == 1


def test_an_event_beyond_the_orders_limits_is_parked_at_once(store: Store, server: Server) -> None:
    policy = FAST._replace(limits=rollup.Limits(lines=2))
    beyond = webhook("A", "third")
    accept(store, webhook("A", "first"), webhook("A", "second"), beyond, webhook("A", "first", "printed", 2))
    tally = fold_once(store, policy)
    assert (tally.events, tally.parked) == (3, 1)
    assert nothing_waits(store)
    (letter,) = letters(server)
    assert letter["reason"] == b"order-limit"
    assert b"2 lines" in letter["detail"]
    assert letter["payload"] == beyond.event.text
    assert (letter["orderReferenceId"], letter["attempts"]) == (b"A", b"1")
    assert "traceback" not in letter
    assert sorted(document(store, "A")["items"]) == ["first", "second"]
    assert not rebuild(store, "default", "A", policy)


def test_an_order_that_cannot_be_folded_at_all_is_tried_again_and_blocks_nobody(
    store: Store, server: Server, building: Bug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_fold, "_TROUBLED_MS", 30)
    building.mended = True
    accept(store, webhook("A", POISON), webhook("B", "mug"))
    fold_all(store, FAST)
    building.mended = False  # now the state itself raises, whatever comes
    accept(store, webhook("A", "cap"), webhook("B", "cap"))
    assert fold_once(store, FAST).failed == 1
    assert sorted(document(store, "B")["items"]) == ["cap", "mug"]
    for _ in range(5):  # more often than an event is tried
        eventually(lambda: fold_once(store, FAST).failed == 1, what="another try")
    assert letters(server) == []
    assert document(store, "A")["version"] == 1
    building.mended = True
    fold_all(store, FAST)
    assert sorted(document(store, "A")["items"]) == ["cap", POISON]


def test_a_stored_state_that_cannot_be_read_blocks_nobody(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_fold, "_TROUBLED_MS", 30)
    accept(store, webhook("A", "mug"), webhook("B", "mug"))
    fold_all(store, FAST)
    whole = server.client.get(keys.state("default/A"))
    assert isinstance(whole, bytes)
    server.client.set(keys.state("default/A"), whole[:10], keepttl=True)
    accept(store, webhook("A", "cap"), webhook("B", "cap"))
    fold_once(store, FAST)
    assert sorted(document(store, "B")["items"]) == ["cap", "mug"]
    # By itself (from the log), or when it was mended: either is fine, to lose the event is not.
    if not nothing_waits(store):
        server.client.set(keys.state("default/A"), whole, keepttl=True)
    fold_all(store, FAST)
    assert sorted(document(store, "A")["items"]) == ["cap", "mug"]
    assert letters(server) == []


def test_a_state_of_another_version_is_made_again_from_the_log(store: Store, server: Server) -> None:
    accept(store, webhook("A", "mug"), webhook("A", "cap"))
    fold_all(store, FAST)
    before = document(store, "A")
    server.client.set(keys.state("default/A"), b"0m" + b"other", keepttl=True)
    accept(store, webhook("A", "pen"))
    fold_all(store, FAST)
    after = document(store, "A")
    assert after["events"] == 3
    assert after["version"] > before["version"]


def test_rqs_timeout_in_the_middle_of_a_fold_parks_nothing(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = typed.read_facts
    hang = [True]

    def slow(*arguments: Any) -> facts.Facts:
        said = right(*arguments)
        while hang[0] and said.lines[0].reference == POISON:
            time.monotonic()
        return said

    def fold_for_ever() -> None:
        while True:
            fold_once(store, FAST._replace(tries=1), lease_seconds=0.05)

    monkeypatch.setattr(typed, "read_facts", slow)
    accept(store, webhook("A", "mug"), webhook("A", POISON), webhook("B", "mug"))
    for _ in range(2):  # really RQ's, by SIGALRM; more often than the event may be tried
        with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
            fold_for_ever()
    hang[0] = False
    fold_all(store, FAST._replace(tries=1))
    assert letters(server) == []
    assert sorted(document(store, "A")["items"]) == ["mug", POISON]
    assert document(store, "A")["events"] == 2
    assert document(store, "B")["events"] == 1


@pytest.mark.parametrize("error", [JobTimeoutException(), MemoryError()])
def test_an_error_that_is_not_the_events_fault_ends_the_shift_and_costs_no_try(
    store: Store, server: Server, reading: Bug, error: Exception
) -> None:
    reading.error = error
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    with pytest.raises(type(error)):
        fold_once(store, FAST._replace(tries=1), lease_seconds=0.02)
    assert store.run(orders.document("default", "A")) is None
    reading.mended = True
    fold_all(store, FAST._replace(tries=1))
    assert letters(server) == []
    assert document(store, "A")["events"] == 2
