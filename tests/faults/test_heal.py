"""Reconciliation against lost webhooks and an outage, small and fast: the whole run is `make heal`."""

from pathlib import Path

import pytest

from faults.heal import Run, heal


def test_after_reconciliation_every_rollup_is_as_gelato_has_it_and_few_gets_were_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.findings.SETTLED_MS", 1_000)  # there is one receiver
    outcome = heal(Run(orders=36, seed=3, hour_seconds=0.6), tmp_path)
    assert outcome.differences == []
    assert outcome.wrong_in_substance > 5, "too little was lost to show anything"
    assert outcome.gets_per_healed <= 1.5, outcome.table()
    assert outcome.gets == outcome.gets_answered, "what is counted is what was asked"
    assert outcome.steps[-1].said["healed"] == outcome.steps[-1].said["gets"] == 0
