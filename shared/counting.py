"""Counting in a process: plain numbers, cheap enough for the hot path, handed over to others in the background."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

#: Upper bounds of a histogram's buckets, ascending; a last bucket takes what lies above them all.
Bounds = tuple[float, ...]
Labels = tuple[str, ...]
#: A number, or a histogram: its sum, then how many fell into each bucket.
Value = int | float | list[float]
#: By metric, then by its labels' values.
Values = dict[str, dict[Labels, Value]]


class Histogram:
    """How many values fell into each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a bucket holds its upper bound."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Count several."""
        for value in values:
            self.observe(value)

    def add(self, other: "Histogram") -> None:
        """Add another of the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def value(self) -> list[float]:
        """As a `Value`."""
        return [self.sum, *self.counts]


def together(parts: Iterable[Mapping[str, Mapping[Labels, Value]]]) -> Values:
    """The sum of what several have counted."""
    total: Values = {}
    for part in parts:
        for name, samples in part.items():
            mine = total.setdefault(name, {})
            for labels, value in samples.items():
                mine[labels] = _sum(mine.get(labels), value)
    return total


def quantile(bounds: Bounds, counts: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of all lie below, from bucket counts; None without any.

    Within its bucket it is interpolated; beyond the last bound it is that bound.
    """
    wanted = sum(counts) * share
    if not wanted:
        return None
    below = 0.0
    for n, (bound, count) in enumerate(zip(bounds, counts, strict=False)):
        if count and below + count >= wanted:
            lower = bounds[n - 1] if n else 0.0
            return lower + (bound - lower) * (wanted - below) / count
        below += count
    return bounds[-1]


def _sum(mine: Value | None, theirs: Value) -> Value:
    if mine is None:
        return list(theirs) if isinstance(theirs, list) else theirs
    if isinstance(mine, list) and isinstance(theirs, list):
        return [one + other for one, other in zip(mine, theirs, strict=True)]
    if isinstance(mine, list) or isinstance(theirs, list):
        raise TypeError("a histogram and a number have no sum")
    return mine + theirs
