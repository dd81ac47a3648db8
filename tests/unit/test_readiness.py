"""Since when a receiver has been ready."""

import pytest

from receiver.readiness import Readiness


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def readiness(clock: Clock) -> Readiness:
    return Readiness(clock)


def test_a_receiver_is_ready_from_its_start_and_after_each_report_from_that_one(
    clock: Clock, readiness: Readiness
) -> None:
    clock.pass_by(5)
    assert readiness.looked() == 5_000
    readiness.told()
    clock.pass_by(5)
    assert readiness.looked() == 5_000


def test_what_could_not_be_told_is_told_with_the_next_report(clock: Clock, readiness: Readiness) -> None:
    for _ in range(6):
        clock.pass_by(10)
        readiness.looked()
    assert readiness.looked() == 60_000


def test_a_refused_event_ends_the_time_in_which_it_was_ready(clock: Clock, readiness: Readiness) -> None:
    clock.pass_by(10)
    readiness.refused()
    clock.pass_by(4)
    assert readiness.looked() == 4_000


def test_a_report_does_not_reach_behind_a_refusal_that_came_while_it_was_on_its_way(
    clock: Clock, readiness: Readiness
) -> None:
    clock.pass_by(5)
    readiness.looked()
    clock.pass_by(1)
    readiness.refused()
    readiness.told()
    clock.pass_by(4)
    assert readiness.looked() == 4_000


def test_a_process_that_stood_still_was_not_ready_meanwhile(clock: Clock, readiness: Readiness) -> None:
    readiness.looked()
    clock.pass_by(3_600)
    assert readiness.looked() == 0
