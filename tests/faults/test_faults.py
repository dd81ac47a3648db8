"""A short run of the bench (`python -m faults`): nothing acknowledged is lost, no rollup is wrong.

See docs/explanation/faults.md.

FAULTS_SEED decides what is sent and which faults come (1), FAULTS_SECONDS how long is sent (12).
"""

import os
import sys

import pytest

from faults.bench import Plan, run
from faults.report import Report

PLAN = Plan(
    seed=int(os.environ.get("FAULTS_SEED", "1")), seconds=float(os.environ.get("FAULTS_SECONDS", "12")), scale=0.4
)
#: Sending, the last faults, at most two retries, settling.
pytestmark = pytest.mark.timeout(180 + PLAN.seconds * 3)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run, for all that is asserted of it."""
    report = run(PLAN, tmp_path_factory.mktemp("faults"))
    sys.stdout.write(f"\n{report.table()}\n")
    return report


def test_faults_were_injected_while_events_were_sent(report: Report) -> None:
    assert report.fault_errors == ()
    assert sum(report.faults.values()) >= PLAN.seconds / 8
    assert report.sent > PLAN.seconds * PLAN.rate / 2


def test_no_acknowledged_event_is_lost_or_doubled_and_nothing_else_is_in_the_logs(report: Report) -> None:
    assert report.lost == 0
    assert {name: report.broken.get(name) for name in ("lost", "doubled", "foreign", "wrong_receipts")} == {
        "lost": None,
        "doubled": None,
        "foreign": None,
        "wrong_receipts": None,
    }


def test_every_rollup_is_what_was_sent_and_what_a_rebuild_gives(report: Report) -> None:
    assert report.broken.get("wrong_rollups", ()) == ()
    assert report.broken.get("rebuilt_differently", ()) == ()


def test_every_version_was_announced(report: Report) -> None:
    assert report.broken.get("not_announced", ()) == ()


def test_nothing_stays_due_leased_spooled_or_dead(report: Report) -> None:
    assert report.broken.get("left_over", ()) == ()


def test_everything_is_well_again_after_each_fault(report: Report) -> None:
    assert report.unhealed == ()


def test_a_sender_sees_503_only_where_nothing_can_take_its_event(report: Report) -> None:
    assert report.unexplained_5xx == ()


def test_a_process_asked_to_stop_ends_in_time_and_without_an_error(report: Report) -> None:
    assert report.bad_stops == ()


def test_an_outage_does_not_slow_the_senders_down(report: Report) -> None:
    assert not report.too_slow, report.outage_ms
