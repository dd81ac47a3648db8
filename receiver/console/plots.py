"""Small plots, computed here: the page holds their lines, and says in words what they show."""

from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH: Final = 300
HEIGHT: Final = 48
#: Points a plot can show; more are joined, the greatest of each lot counts: a peak must not vanish.
_POINTS: Final = 120


class Plot(NamedTuple):
    """Lines and areas for a drawing of `WIDTH` by `HEIGHT`; `top` is the value at its upper edge."""

    lines: list[str]
    area: str
    top: float
    first_at: float
    last_at: float


def plot(at: Sequence[float], *series: Sequence[float | None]) -> Plot:
    """A plot of one or more series over the same times; where a value is None its line is interrupted."""
    joined = [_joined(values) for values in series]
    top = max((value for values in joined for value in values if value is not None), default=0.0)
    scale = (HEIGHT - 2) / top if top else 0.0
    lines = [_line(values, scale) for values in joined]
    return Plot(lines, _area(joined[0], scale), top, at[0] if at else 0.0, at[-1] if at else 0.0)


def _joined(values: Sequence[float | None]) -> list[float | None]:
    lot = max(1, -(-len(values) // _POINTS))
    return [
        max((value for value in values[n : n + lot] if value is not None), default=None)
        for n in range(0, len(values), lot)
    ]


def _points(values: Sequence[float | None], scale: float) -> list[tuple[float, float] | None]:
    step = WIDTH / max(1, len(values) - 1)
    return [
        None if value is None else (round(n * step, 1), round(HEIGHT - 1 - value * scale, 1))
        for n, value in enumerate(values)
    ]


def _line(values: Sequence[float | None], scale: float) -> str:
    words: list[str] = []
    pen_is_down = False
    for point in _points(values, scale):
        if point is not None:
            words.append(f"{'L' if pen_is_down else 'M'}{point[0]:g} {point[1]:g}")
            if not pen_is_down:
                words.append("h.1")  # a single point is seen too
        pen_is_down = point is not None
    return "".join(words)


def _area(values: Sequence[float | None], scale: float) -> str:
    points = [
        point or (round(n * WIDTH / max(1, len(values) - 1), 1), float(HEIGHT))
        for n, point in enumerate(_points(values, scale))
    ]
    if not points:
        return ""
    return f"M0 {HEIGHT}" + "".join(f"L{x:g} {y:g}" for x, y in points) + f"L{WIDTH} {HEIGHT}z"
