"""How large and how long each benchmark is: the full size, a quick one, and a tiny one for tests."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Counts and durations (seconds)."""

    #: wrk's measured part; a second of warming up goes before it.
    intake_seconds: int = 3
    #: redis-benchmark's requests, with pipelining; a quarter of it without.
    limit_requests: int = 100_000
    #: Orders of 20 events in the backlog of the fold, and in that of RQ.
    backlog_orders: int = 5_000
    rq_orders: int = 100
    latency_warm_seconds: float = 1.0
    latency_seconds: float = 4.0
    rates: tuple[int, ...] = (200, 1_000)
    idle_seconds: float = 5.0
    memory_orders: int = 100_000
    stored_orders: tuple[int, ...] = (1_000, 30_000, 300_000)
    histories: tuple[int, ...] = (10, 100, 1_000)
    lines: tuple[int, ...] = (10, 100, 1_000)
    replayed_letters: int = 200_000
    growth_seconds: float = 5.0
    #: Processes that have just started are still busy with themselves; then their idle time is measured.
    growth_quiet_seconds: float = 1.0
    growth_idle_seconds: float = 2.0


FULL: Final = Sizes()
QUICK: Final = Sizes(
    intake_seconds=1,
    limit_requests=40_000,
    backlog_orders=500,
    rq_orders=10,
    latency_seconds=2.0,
    idle_seconds=3.0,
    memory_orders=5_000,
    stored_orders=(1_000, 20_000),
    histories=(10, 100),
    lines=(10, 100, 1_000),
    replayed_letters=10_000,
    growth_seconds=2.0,
)
TINY: Final = Sizes(
    intake_seconds=1,
    limit_requests=4_000,
    backlog_orders=20,
    rq_orders=1,
    latency_warm_seconds=0.2,
    latency_seconds=0.5,
    rates=(100,),
    idle_seconds=0.5,
    memory_orders=50,
    stored_orders=(20, 40),
    histories=(3, 6),
    lines=(3, 6),
    replayed_letters=50,
    growth_seconds=0.5,
    growth_quiet_seconds=0.1,
    growth_idle_seconds=0.2,
)
