"""A receiver of several processes."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.events import order_status
from support.polling import eventually
from support.processes import Process, Receiver, free_port

from receiver.app import create_app
from shared.settings import Settings
from shared.tenants import NOT_RELOADED


def test_what_a_killed_parent_left_in_the_temporary_directory_goes_with_the_next_start(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    def left() -> set[Path]:
        return set(tmp_path.glob("gelato-rollup-counts-*/parent.lock"))

    killed, second, third = (free_port() for _ in range(3))
    first = start("receiver", "--processes", "2", PORT=str(killed), TMPDIR=str(tmp_path))
    eventually(left, what="its directory")
    (stale,) = left()
    first.kill()
    start("receiver", "--processes", "2", PORT=str(second), TMPDIR=str(tmp_path))
    eventually(lambda: left() - {stale}, what="the next one's directory")
    assert not stale.exists()
    living = left()
    start("receiver", "--processes", "2", PORT=str(third), TMPDIR=str(tmp_path))
    eventually(lambda: len(left()) == 2, what="a third one's directory")
    assert living < left(), "that of a living one stays"


def test_when_the_parent_is_killed_its_processes_end_too_and_the_port_is_free(start: Callable[..., Process]) -> None:
    port = free_port()
    parent = start("receiver", "--processes", "2", PORT=str(port))
    eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200, what="the receiver to answer")
    os.kill(parent.pid, signal.SIGKILL)

    def is_free() -> bool:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return True

    eventually(is_free, what="the port to be free")


def test_a_sighup_that_comes_while_a_receiver_starts_does_not_end_it_and_is_heeded(
    env: dict[str, str], tmp_path: Path
) -> None:
    tenants = tmp_path / "tenants.toml"
    tenants.write_text("")
    before = signal.getsignal(signal.SIGHUP)
    try:
        app = create_app(Settings.from_environment({**env, "GELATO_TENANTS_FILE": str(tenants)}))
        tenants.write_text('[acme]\nsecret = "first"\n')
        os.kill(os.getpid(), signal.SIGHUP)

        async def start() -> bool:
            async with app.app.router.lifespan_context(app.app):
                return bool(app.state.service.access.knows("acme"))

        assert asyncio.run(start())
    finally:
        signal.signal(signal.SIGHUP, before)


class TestTheTenantsFileOfSeveralProcesses:
    @pytest.fixture
    def tenants(self, tmp_path: Path) -> Path:
        file = tmp_path / "tenants.toml"
        file.write_text('[acme]\nsecret = "first"\n')
        return file

    @pytest.fixture
    def receiver(self, env: dict[str, str], tmp_path: Path, tenants: Path) -> Iterator[Receiver]:
        receiver = Receiver({**env, "GELATO_TENANTS_FILE": str(tenants)}, tmp_path / "several.log")
        receiver.arguments = ["receiver", "--processes", "2"]
        receiver.start()
        eventually(lambda: len(started(receiver)) == 2, what="both processes to have started")
        yield receiver
        receiver.client.close()
        receiver.terminate()

    def test_a_sighup_has_each_of_them_read_it_and_ends_none(self, receiver: Receiver, tenants: Path) -> None:
        before = children(receiver)
        tenants.write_text('[acme]\nsecret = "second"\n')
        receiver.send(signal.SIGHUP)
        eventually(lambda: said(receiver, "tenants reloaded") == 2, what="both to have read it")
        assert answers(receiver, "first") == {401}
        assert answers(receiver, "second") == {200}
        assert children(receiver) == before

    def test_a_broken_one_is_told_once_and_the_old_tenants_stay_also_with_a_process_that_is_started_anew(
        self, receiver: Receiver, tenants: Path
    ) -> None:
        tenants.write_text("[acme\nsecret = 'hunter2'")
        receiver.send(signal.SIGHUP)
        eventually(lambda: said(receiver, NOT_RELOADED), what="a word about it")
        before = children(receiver)
        os.kill(min(before), signal.SIGKILL)
        eventually(lambda: len(started(receiver)) == 3, what="another in the dead one's place")
        assert len(children(receiver)) == 2
        assert answers(receiver, "first") == {200}
        assert said(receiver, NOT_RELOADED) == 1
        (line,) = [line for line in receiver.said() if line["event"] == NOT_RELOADED]
        assert str(tenants) in line["error"]
        text = receiver.log.read_text()
        assert "Traceback" not in text
        assert "hunter2" not in text
        tenants.write_text('[acme]\nsecret = "second"\n')
        receiver.send(signal.SIGHUP)
        eventually(lambda: said(receiver, "tenants reloaded") == 2, what="both to have read the mended one")
        assert answers(receiver, "second") == {200}

    def test_one_that_comes_while_they_start_ends_none(self, receiver: Receiver, tenants: Path) -> None:
        os.kill(min(children(receiver)), signal.SIGKILL)
        tenants.write_text('[acme]\nsecret = "second"\n')
        for _ in range(3):
            receiver.send(signal.SIGHUP)
        eventually(lambda: len(started(receiver)) == 3, what="another in the dead one's place")
        eventually(lambda: answers(receiver, "second") == {200}, what="both to know the new one")
        assert len(started(receiver)) == 3


def children(receiver: Receiver) -> set[int]:
    """The receiver's processes: those of its parent that multiprocessing has spawned to serve."""
    found = Path(f"/proc/{receiver.pid}/task/{receiver.pid}/children").read_text().split()
    return {int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def said(receiver: Receiver, event: str) -> int:
    return sum(line["event"] == event for line in receiver.said())


def started(receiver: Receiver) -> list[str]:
    return [line["event"] for line in receiver.said() if line["event"] == "Application startup complete."]


def answers(receiver: Receiver, secret: str) -> set[int]:
    """The answers to acme's webhook, on so many connections that each process has answered."""
    url, headers = f"{receiver.base}/webhooks/gelato/acme", {"X-Webhook-Secret": secret}
    return {httpx.post(url, json=order_status(), headers=headers, verify=False).status_code for _ in range(12)}
