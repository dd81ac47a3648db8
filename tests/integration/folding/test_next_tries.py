"""An event whose fold raised waits for its next try: how long, and whatever comes meanwhile it is not forgotten."""

import time
from collections.abc import Callable

import pytest
from support.folding.faulty import FAST, POISON, SLOW, Bug, webhook
from support.folding.mortal import Died, Mortal
from support.orders import accept, document, fold_all, fold_once, letters, nothing_waits
from support.polling import eventually
from support.server import Server

from shared.settings import Settings
from shared.store import Store, keys, scripts
from shared.store.calls import Step
from worker.advance import Policy
from worker.rebuild import rebuild
from worker.shift import policy_of

pytestmark = pytest.mark.usefixtures("quiet")


def is_or_will_be_dealt_with(server: Server, reference: str) -> bool:
    """Whether the order is due some time, or its event is a dead letter: invariant 2."""
    name = keys.order_name("default", reference)
    return server.client.zscore(keys.due(keys.shard_of(name)), name) is not None or bool(letters(server))


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


def test_a_bug_that_is_mended_in_time_costs_nothing(store: Store, server: Server, bug: Bug) -> None:
    accept(store, webhook("A", "mug"), webhook("A", POISON))
    fold_once(store, FAST)
    bug.mended = True
    fold_all(store, FAST)
    found = document(store, "A")
    assert (sorted(found["items"]), found["events"]) == (["mug", POISON], 2)
    assert letters(server) == []
    assert not rebuild(store, "default", "A", FAST)


def test_events_that_come_while_it_waits_for_its_next_try_are_folded_at_once(store: Store, reading: Bug) -> None:
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    fold_once(store, SLOW)
    accept(store, webhook("A", "cap"))
    fold_once(store, SLOW)
    assert sorted(document(store, "A")["items"]) == ["cap", "mug"]


def test_a_try_that_is_still_to_come_survives_the_death_of_its_worker(
    store: Store, server: Server, mortal: Callable[[], Mortal], reading: Bug
) -> None:
    accept(store, webhook("A", POISON), webhook("A", "mug"))
    dying = mortal()

    def die(_: Step) -> None:
        raise Died

    dying.before[scripts.RELEASE] = die
    with pytest.raises(Died):
        fold_once(dying, SLOW, lease_seconds=0.02)
    eventually(lambda: fold_once(store, SLOW).orders, what="the lease to end")
    assert is_or_will_be_dealt_with(server, "A")


@pytest.mark.parametrize("what", ["a duplicate", "another event"])
def test_a_try_that_is_still_to_come_survives_what_comes_during_a_fold(
    store: Store, server: Server, mortal: Callable[..., Mortal], reading: Bug, what: str
) -> None:
    poison = webhook("A", POISON)
    accept(store, poison, webhook("A", "mug"))
    slow = mortal(one_call=True)
    slow.before[scripts.FINISH] = lambda _: accept(store, poison if what == "a duplicate" else webhook("A", "cap"))
    fold_once(slow, SLOW)
    assert not slow.before
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
