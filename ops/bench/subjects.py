"""Ours and D as subjects of the steady load: the processes of each, and where their documents are."""

from dataclasses import dataclass

from ops.bench import proc
from ops.bench.processes import Stage
from ops.bench.steady import Subject
from shared.settings import DEFAULT_TENANT
from shared.store import keys


@dataclass(frozen=True)
class Running:
    """A receiver and a worker that run; `pids` are theirs, without the server."""

    subject: Subject
    pids: tuple[int, ...]
    server_pid: int

    def cpu_seconds(self) -> float:
        """Processor time of receiver, worker and server so far."""
        return proc.cpu_seconds((*self.pids, self.server_pid))


def ours(stage: Stage) -> Running:
    """Start a receiver and a worker of ours."""
    receiver = stage.receiver()
    worker = stage.worker()
    subject = Subject(receiver.port, stage.socket, keys.document(f"{DEFAULT_TENANT}/*"))
    return Running(subject, (receiver.pid, worker.pid), stage.server.pid)


def streams(stage: Stage) -> Running:
    """Start D's receiver and reader."""
    reader = stage.baseline("streams_reader.py")
    receiver = stage.listening_baseline("streams_receiver.py")
    return Running(Subject(receiver.port, stage.socket, "document:*"), (receiver.pid, reader.pid), stage.server.pid)
