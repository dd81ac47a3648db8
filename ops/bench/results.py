"""What a benchmark found: every single run, medians, targets, and whether the result may be believed."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Series:
    """The runs of one subject. `digits`: of the figure as shown to people."""

    name: str
    unit: str
    digits: int = 0
    runs: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of all runs; not a number without any."""
        return statistics.median(self.runs) if self.runs else math.nan

    @property
    def spread(self) -> float:
        """Half the distance between the best and the worst run, as a share of the median."""
        return (max(self.runs) - min(self.runs)) / 2 / self.median if self.runs and self.median else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        low, high = (min(self.runs), max(self.runs)) if self.runs else (None, None)
        return {
            "unit": self.unit,
            "median": None if math.isnan(self.median) else self.median,
            "min": low,
            "max": high,
            "runs": self.runs,
        }


@dataclass(frozen=True)
class Target:
    """One target, and the figure that was reached. `bound`: the figure is to be at least, or at most, this."""

    what: str
    figure: float
    bound: float
    at_least: bool = True
    unit: str = ""
    digits: int = 2

    @property
    def met(self) -> bool:
        """Whether the target was reached."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


@dataclass(frozen=True)
class Check:
    """Something that must hold for the figures to mean anything."""

    what: str
    ok: bool
    detail: str = ""


@dataclass
class Result:
    """One benchmark's outcome. `settings` is whatever a reader needs to repeat it."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, digits: int = 0) -> None:
        """Note one run's figure."""
        self.series.setdefault(name, Series(name, unit, digits)).runs.append(value)

    def median(self, name: str) -> float:
        """The median of a series; not a number where it was not measured."""
        return self.series[name].median if name in self.series else math.nan

    def ratio(self, name: str, to: str) -> float:
        """The ratio of two medians."""
        base = self.median(to)
        return self.median(name) / base if base else math.nan

    def target(
        self, what: str, figure: float, bound: float, *, at_least: bool = True, unit: str = "", digits: int = 2
    ) -> None:
        """Hold a figure against its target."""
        self.targets.append(Target(what, figure, bound, at_least, unit, digits))

    def check(self, what: str, ok: bool, detail: str = "") -> None:
        """Note a check of the benchmark's own result."""
        self.checks.append(Check(what, ok, detail))

    @property
    def failed(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if not check.ok]

    def to_dict(self) -> Mapping[str, Any]:
        """For machines: every run, every target, every check."""
        return {
            "settings": self.settings,
            "series": {name: series.to_dict() for name, series in self.series.items()},
            "targets": [
                {
                    "what": each.what,
                    "figure": None if math.isnan(each.figure) else each.figure,
                    "bound": each.bound,
                    "atLeast": each.at_least,
                    "met": each.met,
                    "unit": each.unit,
                }
                for each in self.targets
            ],
            "checks": [{"what": each.what, "ok": each.ok, "detail": each.detail} for each in self.checks],
            "notes": self.notes,
            "ok": not self.failed,
        }
