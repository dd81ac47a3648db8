"""The bench itself: its baselines are what they say, its checks find what is missing, each part runs to its end."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import uvicorn
from click.testing import CliRunner
from rich.console import Console
from support.polling import eventually
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ops.bench import lives, processes
from ops.bench.backlog import fill, fold_all, folded_events, stored_events
from ops.bench.bench import Bench
from ops.bench.errors import Missing
from ops.bench.fold import fold
from ops.bench.latency import latency
from ops.bench.memory import memory
from ops.bench.processes import BASELINES, Stage
from ops.bench.report import report
from ops.bench.results import Result
from ops.bench.sizes import TINY
from ops.cli import main
from receiver import server
from shared.secret import Secret
from shared.settings import Settings

with_wrk = pytest.mark.skipif(
    not (shutil.which("wrk") and shutil.which("redis-benchmark")), reason="wrk and redis-tools are not installed"
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, runs=1, sizes=TINY)


def test_fold_runs_and_believes_itself(bench: Bench) -> None:
    result = fold(bench)

    assert not result.failed
    assert {"ours, 1 worker", "ours, 2 workers", "B, SimpleWorker", "B, forking Worker", "D"} <= set(result.series)


def test_latency_runs_and_believes_itself(bench: Bench) -> None:
    result = latency(bench)

    assert not result.failed
    assert result.median("ours, 100/s, visible p50") >= 0
    assert result.median("D, 100/s, visible p50") >= 0


@with_wrk
def test_memory_runs_and_believes_itself(bench: Bench) -> None:
    result = memory(bench)

    assert not result.failed
    assert result.median("worker, RSS at most") > 10


def test_baselines_are_served_with_the_receivers_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BASELINES))
    import serve  # noqa: PLC0415

    used: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "Config", lambda app, **options: used.update(options))
    monkeypatch.setattr(uvicorn, "Server", lambda config: SimpleNamespace(run=lambda: None))
    settings = Settings(port=0, webhook_secrets=(Secret("s"),), ops_token=Secret("o"), redis_url=None)

    server.run(settings)

    # The receiver may have a protocol of its own, made from httptools'; the baselines have uvicorn's.
    ours = used.pop("http")
    assert ours == "httptools" or issubclass(ours, HttpToolsProtocol)
    del used["host"], used["port"]
    assert {**used, "http": "httptools"} == serve.OPTIONS
    sys.modules.pop("serve")


@pytest.mark.parametrize("count", [20, 24])
def test_a_life_has_as_many_events_as_asked_for_and_ends_finished(tmp_path: Path, count: int) -> None:
    with Stage(tmp_path) as stage:
        sent = fill(stage.store, lives.interleaved("R", 3, events=count))
        fold_all(stage, 1)
        documents = [orjson.loads(stage.store.client.get(f"gelato:order:{{default/R{n}}}")) for n in range(3)]

        assert sent == 3 * count
        assert folded_events(stage.store) == 3 * count == sum(1 for _ in stored_events(stage.store))
        for document in documents:
            assert document["terminal"]
            assert document["complete"]
            assert len(document["orders"]) == 2
            assert len(document["items"]) == 3


def test_a_failed_check_is_told_loudly_and_a_missed_target_is_not_an_error() -> None:
    result = Result("intake")
    for run in (10.0, 12.0, 11.0):
        result.add("ours", run, "requests/s")
    result.add("A", 22.0, "requests/s")
    result.target("ours / A", result.ratio("ours", "A"), 0.8)
    assert not result.failed
    result.check("every event is in the logs", False, "3 lost")
    machine = {"cpu": "", "cores": 2, "memoryGiB": 1, "kernel": "", "fileSystem": "ext4", "loadAverage": 0}
    about = {"command": "bench", "started": "now", "machine": machine, "versions": {}, "warnings": []}
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115

    console.print(report(about, [result]))
    console.file.close()

    said = console.export_text()
    assert "NOT TO BE BELIEVED" in said
    assert "3 lost" in said
    assert "missed" in said
    assert "0.50" in said
    assert result.to_dict()["series"]["ours"]["runs"] == [10.0, 12.0, 11.0]


def test_without_the_baselines_it_says_that_it_needs_a_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bench: Bench
) -> None:
    monkeypatch.setattr(processes, "BASELINES", tmp_path)

    with pytest.raises(Missing, match="checkout"):
        fold(bench)


def test_told_to_stop_it_ends_what_it_started_and_leaves_nothing_behind() -> None:
    code = "from ops.cli.bench import bench; bench()"
    # Not pytest's directory: a socket's path must be short.
    short = tempfile.TemporaryDirectory(prefix="gb-")
    scratch = Path(short.name)
    env = {**os.environ, "TMPDIR": short.name}
    process = subprocess.Popen([sys.executable, "-c", code, "fold", "--quick"], env=env, stderr=subprocess.DEVNULL)
    try:
        sockets = eventually(
            lambda: list(scratch.glob("gelato-bench-*/run-*/s")), seconds=60, what="a server to listen"
        )
        process.terminate()

        assert process.wait(20) == 143
        assert not list(scratch.iterdir())
        assert not sockets[0].exists()
    finally:
        process.kill()
        process.wait()
        short.cleanup()


def test_without_wrk_it_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)

    done = CliRunner().invoke(main, ["bench", "intake", "--quick"])

    assert done.exit_code == 2
    assert "apt-get install wrk" in done.stderr.replace("\n", " ")
