"""What a run found: for people as a table, for programs as a plain dict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.simulator.compare import Difference

_SHOWN = 20


@dataclass(frozen=True)
class Percentiles:
    """Of some latencies, milliseconds; `count` is how many there were, the rest None without any."""

    count: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of_seconds(cls, seconds: Sequence[float]) -> "Percentiles":
        """Nearest rank: each figure is one that occurred."""
        if not seconds:
            return cls(0)
        ranked = sorted(seconds)
        p50, p90, p99 = (ranked[math.ceil(len(ranked) * share) - 1] for share in (0.5, 0.9, 0.99))
        return cls(len(ranked), *(round(value * 1000, 3) for value in (p50, p90, p99, ranked[-1])))


@dataclass(frozen=True)
class GivenUp:
    """An order of which `events` events got no 2xx in three tries. Its rollup is not compared."""

    reference: str
    events: int


@dataclass(frozen=True)
class Report:
    """One run. `outcomes` by what the service answered, `failed_attempts` by cause; durations in seconds.

    `spooled`: accepted while Redis was away. `watched_orders`: the sample behind `visible_ms`.
    """

    run: str
    seed: int
    orders: int
    connected_orders: int
    troubled_orders: int
    events: int
    posts: int
    outcomes: Mapping[str, int]
    failed_attempts: Mapping[str, int]
    spooled: int
    sending_seconds: float
    settling_seconds: float
    post_ms: Percentiles
    visible_ms: Percentiles
    watched_orders: int
    differences: tuple[Difference, ...] = ()
    given_up: tuple[GivenUp, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Every event arrived and every rollup is what was sent."""
        return not self.differences and not self.given_up

    @property
    def differing_orders(self) -> int:
        """Orders with at least one difference."""
        return len({difference.reference for difference in self.differences})

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready, for `--json`."""
        return {"ok": self.ok, "differingOrders": self.differing_orders, **_camel(asdict(self))}

    def __rich__(self) -> RenderableType:
        """A table of counts and latencies, then what is wrong (at most 20 lines of each kind)."""
        rate = self.posts / self.sending_seconds if self.sending_seconds else 0.0
        counts = Table.grid(padding=(0, 2))
        rows = {
            "orders": f"{self.orders} ({self.connected_orders} connected, {self.troubled_orders} in trouble)",
            "events": f"{self.events} in {self.posts} posts, {self.sending_seconds:.1f} s, {rate:,.0f}/s",
            "answers": _listed(self.outcomes),
            "failed attempts": _listed(self.failed_attempts),
            "spooled": str(self.spooled),
            "settled after": f"{self.settling_seconds:.1f} s",
        }
        for name, value in rows.items():
            counts.add_row(Text(name, style="bold"), Text(value))
        latencies = Table("latency (ms)")
        for name in ("p50", "p90", "p99", "max", "n"):
            latencies.add_column(name, justify="right")
        for label, figures in (
            ("POST to 2xx", self.post_ms),
            (f"POST to rollup visible ({self.watched_orders} orders watched)", self.visible_ms),
        ):
            cells = ["-" if v is None else f"{v:.1f}" for v in (figures.p50, figures.p90, figures.p99, figures.max)]
            latencies.add_row(label, *cells, str(figures.count))
        parts: list[RenderableType] = [counts, latencies]
        if self.given_up:
            lines = [f"{order.reference}: {order.events} event(s)" for order in self.given_up]
            parts.append(_panel("given up after 3 tries", lines))
        if self.differences:
            title = f"{len(self.differences)} difference(s) in {self.differing_orders} order(s)"
            parts.append(_panel(title, [str(difference) for difference in self.differences]))
        if self.ok:
            parts.append(Text("every rollup is what was sent", style="green"))
        return Panel(Group(*parts), title=Text(f"simulate: seed {self.seed}, run {self.run}"))


def _panel(title: str, lines: Sequence[str]) -> Panel:
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return Panel(Text("\n".join([*lines[:_SHOWN], *more])), title=Text(title), border_style="red")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Field names as elsewhere in the project's JSON."""
    words = ((name.split("_"), value) for name, value in fields.items())
    return {first + "".join(word.capitalize() for word in rest): value for (first, *rest), value in words}
