"""The alerts, in a real Prometheus that scrapes a real receiver, while what they are for is played."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.polling import eventually
from support.processes import ROOT, Process, Receiver, environment, fixture, free_port
from support.server import Server

EVENT = fixture("itemStatus-os_3193599925.json")
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
#: What it says to set when the server evicts, or does not persist.
RUNBOOK = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
THE_RUNBOOKS = re.findall(r"`(?:redis-cli )?config set ([\w-]+ \w+)`", RUNBOOK)


class Prometheus:
    """Prometheus with the alerts as they are shipped, but that it does not wait before it raises one."""

    def __init__(self, binary: str, home: Path, target: str) -> None:
        home.mkdir()
        (home / "alerts.yml").write_text(re.sub(r"\n +for: \w+", "", ALERTS.read_text()))
        (home / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
            "rule_files: [alerts.yml]\n"
            "scrape_configs:\n"
            f"  - {{job_name: gelato-rollup, static_configs: [{{targets: ['{target}']}}]}}\n"
        )
        port = free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1")
        options = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
        options += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        self._process = subprocess.Popen([binary, *options], cwd=home)
        eventually(lambda: self.answer("gelato_redis_up") == 1, seconds=30, what="Prometheus to have scraped")

    def answer(self, query: str) -> float | None:
        """The first value of a query."""
        found = self._client.get("/query", params={"query": query}).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """The alerts that are raised now."""
        alerts = self._client.get("/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def raises(self, *wanted: str) -> None:
        """Wait for alerts."""
        eventually(lambda: set(wanted) <= self.firing(), seconds=30, what=f"{wanted}; raised are {self.firing()}")

    def forgets(self, *unwanted: str) -> None:
        """Wait until alerts are over."""
        eventually(lambda: not set(unwanted) & self.firing(), seconds=30, what=f"an end of {unwanted}")

    def stop(self) -> None:
        self._client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data", "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def env(durable: Server, tmp_path: Path) -> dict[str, str]:
    return environment(durable.url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes")


@pytest.fixture
def prometheus(receiver: Receiver, start: Callable[..., Process], tmp_path: Path) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: prometheus); CI has it")
    running = Prometheus(binary, tmp_path / "prometheus", f"127.0.0.1:{receiver.port}")
    yield running
    running.stop()


def test_what_goes_wrong_raises_its_alert_and_nothing_else_does(
    durable: Server, receiver: Receiver, prometheus: Prometheus, start: Callable[..., Process]
) -> None:
    prometheus.raises("GelatoNoWorker")
    worker = start("worker")
    receiver.post(EVENT)
    eventually(lambda: prometheus.answer("gelato_events_folded_total") == 1, what="the fold to be seen")
    eventually(lambda: not prometheus.firing(), what="quiet: the service is well")

    for number in range(3):
        receiver.post(b"{%d" % number)
    prometheus.raises("GelatoDeadLettersGrowing")
    for _ in range(12):
        receiver.post(EVENT, secret="wrong")
    prometheus.raises("GelatoWebhooksUnauthorized")
    durable.client.config_set("appendonly", "no")
    durable.client.config_set("maxmemory", 10**9)
    durable.client.config_set("maxmemory-policy", "allkeys-lru")
    prometheus.raises("GelatoServerNotPersisting", "GelatoServerEvicts")
    of_the_server = {"GelatoServerNotPersisting", "GelatoServerEvicts"}
    assert prometheus.firing() <= {"GelatoDeadLettersGrowing", "GelatoWebhooksUnauthorized"} | of_the_server
    for setting in THE_RUNBOOKS:
        durable.client.config_set(*setting.split())
    prometheus.forgets(*of_the_server)

    assert worker.terminate() == 0
    durable.kill()
    receiver.post(EVENT.replace(b"os_3193599925", b"os_2"))
    prometheus.raises("GelatoRedisDown", "GelatoSpoolInUse")
    receiver.kill()
    prometheus.raises("GelatoReceiverDown")
    durable.start()
    receiver.start()
    start("worker")
    prometheus.forgets("GelatoReceiverDown", "GelatoRedisDown", "GelatoSpoolInUse", "GelatoNoWorker")
    eventually(lambda: receiver.get("/orders/83831IAKD2").json()["events"] == 2, what="what had been in the spool")
