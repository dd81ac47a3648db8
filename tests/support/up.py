"""`gelato-rollup up` as somebody runs it who has just installed it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson

from support.polling import eventually
from support.processes import ROOT, fixture, free_port

Environment = dict[str, str]
REFERENCE = "83831IAKD2"


def bare_environment(**more: str) -> Environment:
    """No setting of this project at all, but for the port: what a newcomer has."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "LOG_FORMAT": "json", **more}


def run(directory: Path, env: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command in a directory, to its end."""
    command = [sys.executable, "-m", "ops", *arguments]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


class Up:
    """A running `up`, in a session of its own, so that what it leaves behind can be found."""

    def __init__(self, directory: Path, env: Environment, *arguments: str) -> None:
        self.directory, self.env = directory, env
        self._said = directory.parent / f"{directory.name}-{os.urandom(4).hex()}.out"
        with self._said.open("wb") as said, self._said.with_suffix(".err").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops", "up", *arguments],
                cwd=directory,
                env=env,
                stdout=said,
                stderr=errors,
                start_new_session=True,
            )
        self.base = f"http://127.0.0.1:{env['PORT']}"
        self.data_dir = directory / env.get("GELATO_DATA_DIR", "var")

    def said(self) -> str:
        """Its standard output so far."""
        return self._said.read_text()

    def complained(self) -> str:
        """Its standard error so far."""
        return self._said.with_suffix(".err").read_text()

    def ready(self) -> "Up":
        """Wait until it answers and its worker works."""

        def answers() -> bool:
            assert self.process.poll() is None, self.complained()
            return httpx.get(f"{self.base}/healthz", timeout=2.0, trust_env=False, verify=False).status_code == 200

        eventually(answers, seconds=30.0, what="the receiver of `up` to answer")
        eventually(lambda: "worker started" in self.complained(), seconds=30.0, what="the worker to start")
        return self

    def post(self, **fields: Any) -> dict[str, Any]:
        """Post an event with the secret that `up` made; the answer."""
        event = orjson.loads(fixture("itemStatus-os_3193599925.json")) | fields
        secret = (self.data_dir / "webhook-secret").read_text().strip()
        url, headers = f"{self.base}/webhooks/gelato", {"X-Webhook-Secret": secret}
        answer = httpx.post(url, json=event, headers=headers, trust_env=False, verify=False)
        answer.raise_for_status()
        return dict(answer.json())

    def document(self, reference: str = REFERENCE) -> dict[str, Any] | None:
        """A document by HTTP, with the token that `up` made."""
        token = (self.data_dir / "ops-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{self.base}/orders/{reference}", headers=headers, trust_env=False, verify=False)
        return dict(answer.json()) if answer.status_code == 200 else None

    def family(self) -> dict[int, str]:
        """The living processes of its session, and their command lines."""
        return {pid: line for pid, line in session(self.process.pid).items() if pid != self.process.pid}

    def child(self, word: str) -> int:
        """The process whose command line ends in `word`, or is of a program of that name."""
        (pid,) = [
            pid
            for pid, line in self.family().items()
            if line.split()[-1] == word or Path(line.split()[0]).name.startswith(word)
        ]
        return pid

    def kill(self) -> None:
        """SIGKILL to it and to what is left of its session."""
        for pid in (self.process.pid, *self.family()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def session(leader: int) -> dict[int, str]:
    """The living processes of a session."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if int(of) == leader and state not in "ZX":
            found[int(entry.name)] = line
    return found


def pasted(up: Up, line: str) -> subprocess.CompletedProcess[str]:
    """A line run as a person would: through bash, where `up` was started."""
    env = {name: value for name, value in up.env.items() if name != "PYTHONPATH"}
    return subprocess.run(
        ["bash", "-c", line], cwd=up.directory, env=env, capture_output=True, text=True, timeout=20, check=False
    )


def curl_lines(up: Up) -> list[str]:
    """The lines to paste that it printed: one posts, the other reads."""
    lines = [line.strip() for line in up.said().splitlines()]
    return [line for line in lines if line.startswith("curl ")]


def secrets_of(up: Up) -> list[str]:
    """The secrets in its data directory."""
    return [(up.data_dir / name).read_text().strip() for name in ("webhook-secret", "ops-token")]
