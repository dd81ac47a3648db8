"""Intake: requests a second with 32 connections, all events new, durable before the answer; beside A, B and C."""

import contextlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from ops.bench import wrk
from ops.bench.backlog import stored_events
from ops.bench.bench import Bench
from ops.bench.errors import BenchError
from ops.bench.processes import Stage, baseline_script, program, wait_for
from ops.bench.results import Result
from ops.bench.wrk import Outcome

UNIT: Final = "requests/s"
_DISTINCT: Final = 2_000
_WARM_SECONDS: Final = 1
_SETTLE_SECONDS: Final = 20.0
_POLICIES: Final = ("everysec", "always")
_RATE: Final = re.compile(rb'^"SET","([0-9.]+)"', re.MULTILINE)


def intake(bench: Bench) -> Result:
    """The benchmark."""
    seconds = bench.sizes.intake_seconds
    program("wrk", "wrk")
    program("redis-benchmark", "redis-tools")
    baseline_script("limit_a.py")
    result = Result(
        "intake",
        {
            "connections": wrk.CONNECTIONS,
            "secondsMeasured": seconds,
            "secondsWarm": _WARM_SECONDS,
            "receiverProcesses": 1,
            "workers": "none while intake is measured, neither ours nor B's",
            "spool": "enabled",
            "logs": "json, level info, to a file on the same disk",
            "server": "a Valkey per run, Unix socket, appendonly",
            "redisBenchmark": "SET of 600 bytes to random keys, 32 clients, pipelines of 1 and 32",
        },
    )

    def ours(policy: str) -> Callable[[], None]:
        return lambda: _ours(bench, result, policy)

    bench.rounds(
        [
            ("A", lambda: _limit_a(bench, result)),
            ("ours, everysec", ours("everysec")),
            ("ours, always", ours("always")),
            ("duplicates", lambda: _duplicates(bench, result)),
            ("B, everysec", lambda: _baseline_b(bench, result, "everysec")),
            ("B, always", lambda: _baseline_b(bench, result, "always")),
            ("C, everysec", lambda: _limit_c(bench, result, "everysec")),
            ("C, always", lambda: _limit_c(bench, result, "always")),
        ]
    )
    _targets(result)
    return result


def _targets(result: Result) -> None:
    result.target("new events, everysec / A", result.ratio("ours, everysec", "A"), 0.8)
    result.target("new events, always / A", result.ratio("ours, always", "A"), 0.75)
    for policy in _POLICIES:
        ratio = result.ratio(f"ours, {policy}", f"B, {policy}")
        result.target(f"new events, {policy} / B, {policy}", ratio, 15.0, digits=1)
    result.target("duplicates / new events", result.ratio("ours, duplicates", "ours, everysec"), 1.0)


def _ours(bench: Bench, result: Result, policy: str) -> None:
    with Stage(bench.scratch, appendfsync=policy) as stage:
        receiver = stage.receiver()
        # Warms up, and proves: every single answer is compared with what is stored.
        answers = stage.directory / "answers"
        first = wrk.events(receiver.base, seconds=_WARM_SECONDS, prefix="W", answers=answers)
        measured = wrk.events(receiver.base, seconds=bench.sizes.intake_seconds, prefix="M")
        result.add(f"ours, {policy}", measured.per_second, UNIT)
        result.add(f"ours, {policy}, p99", measured.p99 / 1000, "ms", 2)
        _complain(result, f"ours, {policy}", measured)
        _all_stored(stage, result, policy, answers, first, measured)
        spooled = receiver.child.said.read_bytes().count(b'"spooled":true')
        if spooled:
            result.notes.append(f"ours, {policy}: {spooled} events went by the spool: Redis was slow for a moment")


def _all_stored(
    stage: Stage, result: Result, policy: str, answers_file: Path, first: Outcome, measured: Outcome
) -> None:
    """Every identity that was accepted is in the logs; and there are as many events as 2xx, but for those in flight."""
    answers = [orjson.loads(line) for line in answers_file.read_bytes().splitlines()]
    accepted = {answer["event"].partition(":")[2] for answer in answers if answer["result"] == "accepted"}
    count = [0]
    stored: set[str] = set()

    def look() -> bool:  # the spool, if it was needed, is drained meanwhile
        stored.clear()
        count[0] = 0
        for text in stored_events(stage.store):
            count[0] += 1
            if b'"orderReferenceId":"W' in text:
                stored.add(orjson.loads(text)["id"])
        return accepted <= stored and count[0] >= first.accepted + measured.accepted

    with contextlib.suppress(BenchError):  # what is missing then is told below
        wait_for(look, [], what="the events that got a 2xx to be in the logs", seconds=_SETTLE_SECONDS)
    lost = len(accepted - stored)
    answered = first.accepted + measured.accepted
    in_flight = count[0] - answered
    result.check(
        f"intake, {policy}: every event that got a 2xx is in the logs",
        lost == 0 and len(answers) > 0 and len(answers) == len(accepted) and 0 <= in_flight <= 2 * wrk.CONNECTIONS,
        f"{answered} answers with 2xx, {count[0]} events stored; of {len(accepted)} answers read one by one {lost} lost",
    )


def _duplicates(bench: Bench, result: Result) -> None:
    with Stage(bench.scratch) as stage:
        receiver = stage.receiver()

        def stored() -> int:
            return sum(1 for _ in stored_events(stage.store))

        for _ in range(10):
            wrk.events(receiver.base, seconds=_WARM_SECONDS, prefix="D", distinct=_DISTINCT)
            if stored() == _DISTINCT:
                break
        before = stored()
        measured = wrk.events(receiver.base, seconds=bench.sizes.intake_seconds, prefix="D", distinct=_DISTINCT)
        result.add("ours, duplicates", measured.per_second, UNIT)
        _complain(result, "duplicates", measured)
        after = stored()
        result.check(
            "intake, duplicates: all measured requests were duplicates",
            before == after == _DISTINCT,
            f"{before} events stored before, {after} after, {measured.accepted} duplicates",
        )


def _limit_a(bench: Bench, result: Result) -> None:
    with Stage(bench.scratch) as stage:
        limit = stage.listening_baseline("limit_a.py")
        wrk.events(limit.base, seconds=_WARM_SECONDS, prefix="W")
        measured = wrk.events(limit.base, seconds=bench.sizes.intake_seconds, prefix="M")
        result.add("A", measured.per_second, UNIT)
        result.add("A, p99", measured.p99 / 1000, "ms", 2)
        _complain(result, "A", measured)


def _baseline_b(bench: Bench, result: Result, policy: str) -> None:
    with Stage(bench.scratch, appendfsync=policy) as stage:
        baseline = stage.listening_baseline("rq_receiver.py")
        first = wrk.events(baseline.base, seconds=_WARM_SECONDS, prefix="W")
        measured = wrk.events(baseline.base, seconds=bench.sizes.intake_seconds, prefix="M")
        result.add(f"B, {policy}", measured.per_second, UNIT)
        _complain(result, f"B, {policy}", measured)
        jobs, answered = stage.store.client.llen("rq:queue:baseline"), first.accepted + measured.accepted
        result.check(
            f"intake, B, {policy}: every event that got a 2xx is a job",
            0 <= jobs - answered <= 2 * wrk.CONNECTIONS,
            f"{answered} answers, {jobs} jobs",
        )


def _limit_c(bench: Bench, result: Result, policy: str) -> None:
    binary = program("redis-benchmark", "redis-tools")
    with Stage(bench.scratch, appendfsync=policy) as stage:
        for pipeline, share in ((1, 4), (32, 1)):
            command = [binary, "-s", str(stage.socket), "-c", str(wrk.CONNECTIONS), "-t", "set", "-d", "600", "--csv"]
            command += ["-r", "100000", "-n", str(bench.sizes.limit_requests // share), "-P", str(pipeline)]
            done = subprocess.run(command, capture_output=True, timeout=120, check=False)
            rate = _RATE.search(done.stdout)
            if rate is None:
                raise BenchError(
                    f"redis-benchmark failed: {(done.stderr or done.stdout).decode(errors='replace')[-300:]}"
                )
            name = f"C, {policy}, " + (f"pipelines of {pipeline}" if pipeline > 1 else "no pipelining")
            result.add(name, float(rate[1]), "SET/s")


def _complain(result: Result, who: str, measured: Outcome) -> None:
    result.check(
        f"intake, {who}: every answer is a 2xx",
        measured.refused == 0 and measured.broken == 0,
        f"{measured.refused} refused, {measured.broken} broken of {measured.requests}",
    )
