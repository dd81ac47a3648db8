"""The parts of the bench that take half a minute in miniature: run by `make bench-scale` before they run at full size."""

import shutil
from pathlib import Path

import pytest

from ops.bench.acknowledgement import WAYS, acknowledgement
from ops.bench.bench import Bench
from ops.bench.growth import growth
from ops.bench.intake import intake
from ops.bench.sizes import TINY

with_wrk = pytest.mark.skipif(
    not (shutil.which("wrk") and shutil.which("redis-benchmark")), reason="wrk and redis-tools are not installed"
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, runs=1, sizes=TINY)


@with_wrk
def test_acknowledgement_runs_and_believes_itself(bench: Bench) -> None:
    result = acknowledgement(bench)

    assert not result.failed
    assert {way.name for way in WAYS} <= set(result.series)


@pytest.mark.timeout(240)
def test_growth_runs_and_believes_itself(bench: Bench) -> None:
    assert not growth(bench).failed


@with_wrk
def test_intake_runs_and_believes_itself(bench: Bench) -> None:
    result = intake(bench)

    assert not result.failed
    assert {"A", "B, everysec", "B, always", "ours, everysec", "ours, always", "ours, duplicates"} <= set(result.series)
    assert all(series.median > 0 for series in result.series.values())
