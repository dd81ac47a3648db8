"""Alerts, dashboard and pages of the operators: they speak of metrics and headings that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from receiver import exposition
from receiver.counts import Counts
from shared.metrics import METRICS, Kind, Scope

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTS = (PROMETHEUS / "alerts.yml").read_text()
DASHBOARD = orjson.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_bytes())


def promtool(*arguments: str, said: bytes = b"") -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: prometheus); CI has it")
    done = subprocess.run([tool, *arguments], cwd=PROMETHEUS, input=said, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_the_alerts_can_be_loaded() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "prometheus.yml")


def test_each_situation_raises_its_alert_and_no_other_time_does() -> None:
    promtool("test", "rules", "alerts.test.yml")
    tested = (PROMETHEUS / "alerts.test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", ALERTS):
        wanted = rf"alertname: {alert}\n        exp_alerts:\n"
        assert re.search(wanted, tested), f"no situation raises {alert}"


def test_each_alert_has_its_heading_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", runbook, re.MULTILINE)}
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    links = re.findall(r"runbook: docs/how-to/runbook\.md#(\S+)", ALERTS)
    assert len(links) == len(alerts) > 15
    assert set(links) <= headings
    assert all(f"`{alert}`" in runbook for alert in alerts), "each alert is named under its heading"


def queries() -> Iterator[tuple[str, str]]:
    """Every query, and where it stands."""
    yield from re.findall(r"alert: (\w+)\n\s+expr: (.+)", ALERTS)
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def used_in(query: str) -> list[tuple[str, list[str]]]:
    """The metrics of a query, each with the labels that it is asked for."""
    found = re.findall(r"\b(gelato_\w+)(?:\{([^}]*)\})?", query)
    return [(name, re.findall(r"(\w+)=", labels)) for name, labels in found]


@pytest.mark.parametrize(("where", "query"), [pytest.param(*each, id=each[0]) for each in queries()])
def test_queries_use_metrics_that_exist(where: str, query: str) -> None:
    samples = {}
    for metric in METRICS.values():
        endings = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        samples |= {metric.name + ending: metric for ending in endings}
    used = used_in(query.replace('job="gelato-rollup"', ""))
    assert used or query.startswith("up{"), where
    for name, labels in used:
        assert name in samples, f"{where}: {name}"
        assert set(labels) <= {*samples[name].labels, "job"}, f"{where}: {name} has no such label"
        grouped = re.search(r"by \(([^)]*)\)", query)
        if grouped:
            by = set(grouped[1].split(", ")) - {"instance", "le"}
            assert by <= set(samples[name].labels), f"{where}: {name} cannot be grouped so"


@pytest.mark.parametrize(("where", "query"), [pytest.param(*each, id=each[0]) for each in queries()])
def test_service_wide_values_are_not_added_up_over_instances(where: str, query: str) -> None:
    """Each instance shows the same: a sum of them would count it several times."""
    for name, _ in used_in(query):
        metric = METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name)) or METRICS[name]
        if metric.scope is Scope.SERVICE:
            inner = re.sub(r"^sum\(max by", "max by", query)
            assert "sum" not in inner, f"{where}: {name}"
            assert re.search(r"\b(max|min)\b", inner), f"{where}: {name}"


def test_prometheus_finds_nothing_to_complain_of() -> None:
    counts = Counts()
    counts.webhook("accepted", "itemStatus", 0.003)
    counts.request("/orders", "GET", 200, 0.1)
    values: dict[str, Any] = {
        metric.name: {("x",) * len(metric.labels): [0.0] * (len(metric.bounds) + 2)}
        if metric.kind is Kind.HISTOGRAM
        else {("x",) * len(metric.labels): 1}
        for metric in METRICS.values()
    }
    promtool("check", "metrics", said=exposition.render(values | counts.values()))


def test_a_metric_that_is_not_declared_cannot_be_shown() -> None:
    with pytest.raises(KeyError, match="gelato_surprise"):
        exposition.render({"gelato_surprise": {(): 1}})
