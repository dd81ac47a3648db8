"""What a safer 2xx costs: the ways of acknowledging side by side, by throughput and by the time of one event alone."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ops.bench import wrk
from ops.bench.backlog import stored_events
from ops.bench.bench import Bench
from ops.bench.errors import BenchError
from ops.bench.processes import Stage, program, wait_for
from ops.bench.results import Result

UNIT: Final = "requests/s"
_WARM_SECONDS: Final = 1
_SETTLE_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Way:
    """One way of acknowledging. `waits`: the commands that the server must have been asked with."""

    name: str
    appendfsync: str = "everysec"
    replica: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    waits: tuple[str, ...] = ()


WAYS: Final = (
    Way("everysec"),
    Way("always", appendfsync="always"),
    Way("everysec, WAITAOF", settings={"GELATO_ACK_FSYNC": "yes"}, waits=("waitaof",)),
    Way("everysec, a replica", replica=True, waits=("wait",)),
    Way("always, a replica", appendfsync="always", replica=True, waits=("wait",)),
    Way("everysec, a replica, WAITAOF", replica=True, settings={"GELATO_ACK_FSYNC": "yes"}, waits=("wait", "waitaof")),
)


def acknowledgement(bench: Bench) -> Result:
    """The benchmark."""
    program("wrk", "wrk")
    result = Result(
        "acknowledgement",
        {
            "connections": [wrk.CONNECTIONS, 1],
            "secondsMeasured": bench.sizes.intake_seconds,
            "secondsWarm": _WARM_SECONDS,
            "receiverProcesses": 1,
            "workers": "none",
            "server": "a Valkey per run, Unix socket, appendonly; its replica has the same options, disk and cores",
            "GELATO_ACK_REPLICAS": "unset: one replica is waited for where one is connected",
        },
    )

    def measure(way: Way) -> Callable[[], None]:
        return lambda: _measure(bench, result, way)

    bench.rounds([(way.name, measure(way)) for way in WAYS])
    for way in WAYS[1:]:
        ratio = result.ratio(way.name, WAYS[0].name)
        alone = result.ratio(f"{way.name}, one alone p50", f"{WAYS[0].name}, one alone p50")
        result.notes.append(
            f"{way.name} / {WAYS[0].name}: throughput {ratio:.2f}, one event alone {alone:.1f} times as long"
        )
    return result


def _measure(bench: Bench, result: Result, way: Way) -> None:
    with Stage(bench.scratch, appendfsync=way.appendfsync, replicas=int(way.replica)) as stage:
        receiver = stage.receiver(**way.settings)
        first = wrk.events(receiver.base, seconds=_WARM_SECONDS, prefix="W")
        many = wrk.events(receiver.base, seconds=bench.sizes.intake_seconds, prefix="M")
        one = wrk.events(receiver.base, seconds=bench.sizes.intake_seconds, prefix="O", connections=1)
        result.add(way.name, many.per_second, UNIT)
        for name, measured in (("", many), (", one alone", one)):
            result.add(f"{way.name}{name} p50", measured.p50 / 1000, "ms", 2)
            result.add(f"{way.name}{name} p99", measured.p99 / 1000, "ms", 2)
        answered = first.accepted + many.accepted + one.accepted
        stored = [0]

        def all_there() -> bool:  # the spool, if it was needed, is drained meanwhile
            stored[0] = sum(1 for _ in stored_events(stage.store))
            return stored[0] >= answered

        with contextlib.suppress(BenchError):  # what is missing then is told below
            wait_for(all_there, [], what="the events that got a 2xx to be in the logs", seconds=_SETTLE_SECONDS)
        refused = first.refused + many.refused + one.refused
        result.check(
            f"acknowledgement, {way.name}: every answer is a 2xx, and every event that got one is in the logs",
            refused == 0 and 0 <= stored[0] - answered <= 3 * wrk.CONNECTIONS,
            f"{answered} answers with 2xx, {refused} others, {stored[0]} events stored",
        )
        asked = {name.removeprefix("cmdstat_") for name in stage.store.client.info("commandstats")}
        result.check(
            f"acknowledgement, {way.name}: the server was asked to wait as it should",
            asked & {"wait", "waitaof"} == set(way.waits),
            f"asked: {sorted(asked & {'wait', 'waitaof'})}",
        )
        spooled = receiver.child.said.read_bytes().count(b'"spooled":true')
        if spooled:
            result.notes.append(f"{way.name}: {spooled} of {answered} events went by the spool: it took too long")
