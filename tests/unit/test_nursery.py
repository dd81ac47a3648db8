"""Processes that are forked for tests are processes like any other, whoever starts them, from several threads too."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.processes import Process, environment


def command(home: Path, name: str, *arguments: str) -> Process:
    return Process(list(arguments), environment("redis://127.0.0.1:1/0", home / "var"), home / f"{name}.log").start()


def test_a_process_has_its_own_code_its_own_words_and_its_own_signals(tmp_path: Path) -> None:
    good, wrong = command(tmp_path, "good", "--version"), command(tmp_path, "wrong", "no-such-command")
    assert good.process is not None
    assert wrong.process is not None
    assert (good.process.wait(20), wrong.process.wait(20)) == (0, 2)
    assert "gelato-rollup" in good.log.read_text()
    assert "no-such-command" in wrong.log.read_text()
    killed = command(tmp_path, "killed", "receiver")
    killed.send(signal.SIGKILL)
    assert killed.process is not None
    assert killed.process.wait(20) == -signal.SIGKILL
    assert killed.process.poll() == -signal.SIGKILL


def test_threads_that_start_and_await_processes_at_once_each_hear_of_their_own(tmp_path: Path) -> None:
    def run(n: int) -> int:
        process = command(tmp_path, str(n), *(["--version"] if n % 2 else ["no-such-command"])).process
        assert process is not None
        return process.wait(30)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(48))) == [0 if n % 2 else 2 for n in range(48)]
