"""When a primary without replicas is taken at its word."""

from typing import Any

import pytest

from receiver.replicas import Replicas
from shared.store import AsyncStore
from shared.store.guards import View

HERE, ELSEWHERE = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


def view(primary: tuple[str, int] = HERE, *, well: bool = True, replicas: int = 2) -> View:
    return View(primary, well, replicas, down_after_ms=5_000)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas(clock: Clock) -> Replicas:
    return Replicas(AsyncStore.from_url("redis+sentinel://h:1,h:2,h:3/gelato"), None, clock)


CONFIRMED: Any = [view(), view(), None]


def test_a_replica_is_asked_for_from_the_start_behind_sentinel_and_not_elsewhere(replicas: Replicas) -> None:
    assert replicas.at_first == 1
    assert Replicas(AsyncStore.from_url("redis://h:1"), None).at_first == 0
    assert Replicas(AsyncStore.from_url("redis+cluster://h:1"), None).at_first == 0
    assert Replicas(AsyncStore.from_url("redis://h:1"), 2).at_first == 2


def test_a_primary_that_has_lost_its_replicas_is_alone_once_the_sentinels_had_time_to_notice(
    replicas: Replicas, clock: Clock
) -> None:
    assert replicas._decide(HERE, CONFIRMED) == 1
    clock.now += 5.9
    assert replicas._decide(HERE, CONFIRMED) == 1
    assert not replicas.alone
    clock.now += 0.2
    assert replicas._decide(HERE, CONFIRMED) == 0
    assert replicas.alone


@pytest.mark.parametrize(
    "views",
    [
        [view(), None, None],
        [None, None, None],
        [view(), view(ELSEWHERE), view(ELSEWHERE)],
        [view(), view(well=False), view(well=False)],
        [view(), view(ELSEWHERE), None],
    ],
)
def test_it_is_never_alone_without_most_sentinels_and_the_time_begins_anew(
    replicas: Replicas, clock: Clock, views: Any
) -> None:
    for _ in range(3):
        assert replicas._decide(HERE, views) == 1
        clock.now += 60
    assert replicas._decide(HERE, CONFIRMED) == 1
    clock.now += 7
    assert replicas._decide(HERE, CONFIRMED) == 0
    assert replicas._decide(HERE, views) == 1
    assert not replicas.alone
    assert replicas._decide(HERE, CONFIRMED) == 1


def test_another_primary_has_a_time_of_its_own(replicas: Replicas, clock: Clock) -> None:
    replicas._decide(HERE, CONFIRMED)
    clock.now += 60
    there: Any = [view(ELSEWHERE), view(ELSEWHERE), view(ELSEWHERE)]
    assert replicas._decide(ELSEWHERE, there) == 1


def test_a_primary_that_never_had_a_replica_is_taken_at_its_word(replicas: Replicas) -> None:
    assert replicas._decide(HERE, [view(replicas=0), view(replicas=0), view(replicas=0)]) == 0
    assert not replicas.alone
