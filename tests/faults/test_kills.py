"""Workers and receivers are killed at random moments; nothing that was accepted is lost, and no rollup is wrong.

A short run by default. A longer one is asked for by environment variables:

    FAULTS_ORDERS          orders (40)
    FAULTS_WORKER_KILLS    SIGKILLs of a worker (6)
    FAULTS_RECEIVER_KILLS  SIGKILLs of a receiver (2)
    FAULTS_SEED            what is sent and who is killed when (1)
    FAULTS_RATE            posts a second (80)
    FAULTS_WORKERS         worker processes (2)
    FAULTS_RECEIVERS       receiver processes, each with a simulator of its own (1)
    FAULTS_LEASE_SECONDS   GELATO_LEASE_SECONDS of the workers (2; the service's default is 15)

    FAULTS_ORDERS=300 FAULTS_WORKER_KILLS=20 FAULTS_RECEIVER_KILLS=5 FAULTS_RATE=150 pytest -s tests/faults/test_kills.py

It prints a small report of what was sent, killed, lost and wrong.
"""

import sys

import pytest
from faults.bench import Outcome, Plan, run

PLAN = Plan.from_environment()
#: Sending (about 45 posts an order), restarts, leases, settling.
pytestmark = pytest.mark.timeout(120 + PLAN.orders * 60 / PLAN.rate)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run of the plan, for all that is asserted of it."""
    outcome = run(PLAN, tmp_path_factory.mktemp("kills"))
    sys.stdout.write(f"\nkills\n{outcome.summary()}\n")
    return outcome


def test_all_kills_of_the_plan_were_done_and_most_while_events_were_sent(outcome: Outcome) -> None:
    assert (outcome.kills.workers, outcome.kills.receivers) == (PLAN.worker_kills, PLAN.receiver_kills)
    assert outcome.kills.while_sending >= (PLAN.worker_kills + PLAN.receiver_kills) / 2
    assert outcome.kills.in_the_midst >= PLAN.worker_kills // 6


def test_every_event_is_acknowledged_within_gelatos_three_tries(outcome: Outcome) -> None:
    assert [each for report in outcome.reports for each in report.given_up] == []
    assert outcome.acknowledged == sum(report.posts for report in outcome.reports)


def test_no_acknowledged_event_is_lost(outcome: Outcome) -> None:
    assert outcome.lost == 0


def test_every_rollup_is_what_was_sent(outcome: Outcome) -> None:
    assert [str(each) for report in outcome.reports for each in report.differences] == []
    assert all(report.ok for report in outcome.reports)


def test_no_order_stays_due_marked_or_leased(outcome: Outcome) -> None:
    assert outcome.unfinished == []


def test_a_rebuild_of_everything_changes_nothing(outcome: Outcome) -> None:
    assert outcome.rebuilt == {"rebuilt": PLAN.orders, "changed": [], "unknown": []}


def test_the_newest_version_of_every_order_was_announced(outcome: Outcome) -> None:
    assert outcome.unannounced == []


def test_no_event_became_a_dead_letter(outcome: Outcome) -> None:
    assert outcome.dead_letters == 0
