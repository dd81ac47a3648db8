"""What the connected server promises about what it was given, and what to do about each weakness."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from shared.store.calls import Call, Operation, Step

#: WAITAOF, streams' lag, PEXPIRETIME: what this project relies on or offers.
_LEAST_VERSION = (7, 0)
_WAITAOF_VERSION = (7, 2)

#: Of the memory that the server may use.
_NEARLY_FULL = 0.9


class Level(IntEnum):
    """How bad a finding is."""

    OK = 0
    WARNING = 1
    ERROR = 2


class Finding(NamedTuple):
    """One line about the server: what is so, and the remedy where it is weak."""

    level: Level
    what: str
    remedy: str = ""


class Promises(NamedTuple):
    """What a server says of itself. `None` where it does not tell (CONFIG is often not allowed)."""

    version: str
    role: str
    replicas: int
    aof: bool
    appendfsync: str | None
    rdb: bool
    maxmemory: int
    maxmemory_policy: str
    #: The server's time, microseconds.
    now_us: int
    #: Whether the last write of the append-only file went well.
    aof_written: bool = True
    memory_used: int = 0
    evicted_keys: int = 0

    @property
    def waits_for_fsync(self) -> bool:
        """Whether the server knows WAITAOF."""
        return _number(self.version) >= _WAITAOF_VERSION

    def findings(self) -> list[Finding]:
        """One line per promise, weak or not."""
        return [self._of_version(), self._of_role(), self._of_disk(), self._of_memory(), self._of_replicas()]

    def _of_version(self) -> Finding:
        if _number(self.version) < _LEAST_VERSION:
            return Finding(Level.ERROR, f"version {self.version}", "Valkey, or Redis 7.0 or later, is needed")
        return Finding(Level.OK, f"version {self.version}")

    def _of_role(self) -> Finding:
        if self.role != "master":
            return Finding(
                Level.ERROR, f"a {self.role}: it takes no writes", "point REDIS_URL at the primary, or at Sentinel"
            )
        return Finding(Level.OK, "a primary")

    def _of_disk(self) -> Finding:
        if self.aof and not self.aof_written:
            return Finding(Level.ERROR, "the last write of the append-only file failed", "look at the server's disk")
        if self.aof and self.appendfsync == "always":
            return Finding(Level.OK, "append-only file, synced before each answer")
        if self.aof and self.appendfsync is None:
            what = "append-only file; whether each write is synced, this user may not ask"
            return Finding(Level.WARNING, what, "`gelato-rollup doctor` as the operator says it; GELATO_ACK_FSYNC=yes")
        if self.aof:
            what = f"append-only file, appendfsync {self.appendfsync}: a crash of the machine can lose the last second"
            return Finding(Level.WARNING, what, "appendfsync always, or GELATO_ACK_FSYNC=yes, or a replica")
        if self.rdb:
            what = "snapshots only: a crash loses all since the last one"
            return Finding(Level.ERROR, what, "appendonly yes and appendfsync always")
        return Finding(
            Level.ERROR, "no persistence: a restart loses everything", "appendonly yes and appendfsync always"
        )

    def _of_memory(self) -> Finding:
        if self.maxmemory and self.maxmemory_policy != "noeviction":
            what = f"maxmemory-policy {self.maxmemory_policy}: a full server throws orders away"
            return Finding(
                Level.ERROR, what, "maxmemory-policy noeviction: writes are refused then, and go to the spool"
            )
        if self.maxmemory and self.memory_used > self.maxmemory * _NEARLY_FULL:
            what = f"{self.memory_used / self.maxmemory:.0%} of its memory used: writes are refused when it is full"
            return Finding(Level.WARNING, what, "raise maxmemory, or keep orders for a shorter time")
        return Finding(Level.OK, f"maxmemory-policy {self.maxmemory_policy}")

    def _of_replicas(self) -> Finding:
        if not self.replicas:
            what = "no replica: what this machine loses is lost"
            return Finding(Level.WARNING, what, "a replica and Sentinel, or backups and reconciliation")
        return Finding(Level.OK, f"{self.replicas} replica{'s' if self.replicas > 1 else ''}")


def promises() -> Operation[Promises]:
    """Ask the server. What it does not let us ask is left unknown."""
    info, time = yield [Call("INFO", (), ()), Call("TIME", (), ())]
    nodes = [info] if "redis_version" in info else list(info.values())  # a cluster answers per node
    facts = nodes[0]
    try:
        (answer,) = yield [Call("CONFIG GET", (), ("appendfsync", "save"))]
        configured = _configured(answer)
    except ResponseError:
        configured = {}
    return Promises(
        version=str(facts.get("valkey_version") or facts["redis_version"]),
        role=str(facts.get("role", "master")),
        replicas=int(facts.get("connected_slaves", 0)),
        aof=bool(int(facts.get("aof_enabled", 0))),
        appendfsync=configured.get("appendfsync"),
        rdb=configured.get("save") != "" and facts.get("rdb_last_bgsave_status") == "ok",
        maxmemory=int(facts.get("maxmemory", 0)),
        maxmemory_policy=str(facts.get("maxmemory_policy", "unknown")),
        now_us=_microseconds(time),
        aof_written=all(node.get("aof_last_write_status", "ok") == "ok" for node in nodes),
        memory_used=max(int(node.get("used_memory", 0)) for node in nodes),
        evicted_keys=sum(int(node.get("evicted_keys", 0)) for node in nodes),
    )


def wait_for(replicas: int, *, fsync: bool, timeout_ms: int) -> Step:
    """The step's end that waits for more than the server's memory; must follow the writes on one connection.

    The replicas are asked with WAIT beside WAITAOF too: a replica answers WAITAOF with what it had synced when the question
    came, and one that comes in one go with its write is answered anew only a second later.
    """
    each_ms = timeout_ms // 2 if fsync and replicas else timeout_ms  # one after the other
    own_disk = [Call("WAITAOF", (), (1, 0, each_ms))] if fsync else []
    return [*own_disk, *([Call("WAIT", (), (replicas, each_ms))] if replicas else [])]


def waited(answers: Sequence[Any], replicas: int, *, fsync: bool) -> bool:
    """Whether enough servers have it, by the answers to `wait_for`."""
    if fsync and int(answers[0][0]) < 1:
        return False
    return not replicas or int(answers[-1]) >= replicas


def _configured(answer: Any) -> dict[str, str]:
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _microseconds(time: Any) -> int:
    seconds, microseconds = next(iter(time.values())) if isinstance(time, dict) else time
    return int(seconds) * 1_000_000 + int(microseconds)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
