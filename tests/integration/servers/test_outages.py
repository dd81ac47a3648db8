"""Times in which no receiver was ready: found, cut short by those who were, bounded, and by the server's clock."""

import pytest
from support.polling import eventually
from support.processes import Receiver

from shared.store import Store, keys, outages
from shared.store.outages import Outage


def now_ms(store: Store) -> int:
    seconds, microseconds = store.client.time()
    return seconds * 1000 + microseconds // 1000


def last_ready(store: Store, ago_ms: int) -> int:
    """Let the last report be so long ago."""
    at = now_ms(store) - ago_ms
    store.client.set(keys.READY, at)
    return at


def report(store: Store, ready_ms: int = 0) -> Outage | None:
    return store.run(outages.ready(ready_ms, kept_days=730))


def known(store: Store) -> list[Outage]:
    return store.run(outages.since(0))


def test_the_first_start_ever_ends_no_outage(store: Store) -> None:
    assert report(store) is None
    assert known(store) == []


def test_a_gap_longer_than_the_sender_tries_is_an_outage(store: Store) -> None:
    began = last_ready(store, 60_000)
    ended = report(store)
    assert ended is not None
    assert ended.from_ms == began
    assert ended.to_ms == pytest.approx(now_ms(store), abs=2_000)
    assert known(store) == [ended]


def test_a_restart_within_the_senders_patience_is_none(store: Store) -> None:
    last_ready(store, 9_000)
    assert report(store) is None
    assert known(store) == []


def test_time_in_which_a_receiver_spooled_is_no_outage(store: Store) -> None:
    last_ready(store, 600_000)
    assert report(store, ready_ms=598_000) is None
    assert known(store) == []


def test_a_receiver_that_was_ready_takes_back_what_another_took_for_an_outage(store: Store) -> None:
    last_ready(store, 600_000)
    assert report(store) is not None
    report(store, ready_ms=595_000)
    assert known(store) == []


def test_an_outage_is_cut_short_by_a_receiver_that_came_back_before_the_one_that_reported_it(store: Store) -> None:
    began = last_ready(store, 600_000)
    report(store)
    report(store, ready_ms=200_000)
    (outage,) = known(store)
    assert outage.from_ms == began
    assert outage.to_ms == pytest.approx(now_ms(store) - 200_000, abs=2_000)


def test_earlier_outages_stay_as_they_are(store: Store) -> None:
    last_ready(store, 900_000)
    first = report(store, ready_ms=600_000)
    last_ready(store, 300_000)
    second = report(store)
    assert known(store) == [first, second]
    assert store.run(outages.since(first.to_ms)) == [second]


def test_old_outages_are_forgotten(store: Store) -> None:
    long_ago = now_ms(store) - 731 * 86_400_000
    store.client.zadd(keys.OUTAGES, {f"{long_ago - 60_000}-{long_ago}": long_ago})
    report(store)
    assert known(store) == []


def test_a_server_whose_clock_went_back_has_no_outage(store: Store) -> None:
    last_ready(store, -60_000)
    assert report(store) is None
    assert known(store) == []


def test_receivers_that_were_all_gone_leave_an_outage(receiver: Receiver, store: Store) -> None:
    eventually(lambda: store.client.get(keys.READY), what="the receiver to say that it is ready")
    receiver.kill()
    began = last_ready(store, 30_000)
    receiver.start()
    (outage,) = eventually(lambda: known(store), what="the outage to be noticed")
    assert outage.from_ms == began
