"""The drawing of an order: its connected orders, and their items along the lifecycle from created to delivered.

Geometry alone, from a document: the template makes SVG of it. The page's table of items says the same in words.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from receiver.console import looks
from receiver.console.texts import short, spoken, visible
from shared.schema import ConnectedDocument, Document, LineDocument

#: The usual way; the columns of the drawing.
_STAGES: Final = (
    ("created", "Created"),
    ("uploading", "Uploading"),
    ("passed", "Passed"),
    ("in_production", "Production"),
    ("printed", "Printed"),
    ("shipped", "Shipped"),
    ("in_transit", "In transit"),
    ("delivered", "Delivered"),
)
_COLUMN: Final = {
    **{status: n for n, (status, _) in enumerate(_STAGES)},
    "draft": 0,
    "not_connected": 0,
    "digitizing": 1,
    "returned": 7,
}
#: Statuses that have a column because they lie there, not because they are passed on the way.
_BESIDE: Final = ("draft", "not_connected", "returned")
MOST_LANES: Final = 40
_LABEL: Final = 30
_FIRST, _STEP, _WIDTH = 340.0, 92.0, 1060
_TOP, _ORDER, _LANE = 46.0, 42.0, 40.0
_ROOT_X: Final = 14.0


class Dot(NamedTuple):
    """A status that was seen on the way."""

    x: float
    title: str


class Lane(NamedTuple):
    """The way of one item, or of a connected order without items. `halted`: it left the usual way."""

    y: float
    label: str
    title: str
    family: str
    dots: list[Dot]
    now_x: float
    tag: str
    halted: bool


class Track(NamedTuple):
    """The way of one item in a few small squares, for where the drawing has no room: how many of them are reached."""

    family: str
    reached: int
    stages: int = len(_STAGES)


class Branch(NamedTuple):
    """One connected order: a label, the curve that leads to it, and lanes; `more` lines have no room."""

    y: float
    path: str
    label: str
    title: str
    note: str
    family: str
    lanes: list[Lane]
    more: int


class Drawing(NamedTuple):
    """All of it. `hidden`: connected orders without room."""

    width: int
    height: int
    stages: list[tuple[float, str]]
    branches: list[Branch]
    hidden: int
    description: str
    first: float = _FIRST
    last: float = _FIRST + _STEP * (len(_STAGES) - 1)
    root_x: float = _ROOT_X
    root_y: float = 22.0


def draw(document: Document) -> Drawing:
    """The drawing of a document; the largest order has room for its first `MOST_LANES` lines."""
    branches: list[Branch] = []
    y = _TOP
    left = MOST_LANES
    orders = document["orders"]
    for order_id, connected in orders.items():
        if left <= 0:
            break
        branch = _branch(order_id, connected, y, left)
        branches.append(branch)
        left -= max(1, len(branch.lanes))
        y += _ORDER + (_LANE * len(branch.lanes) if connected["items"] else 0) + (18 if branch.more else 0)
    stages = [(_FIRST + _STEP * n, title) for n, (_, title) in enumerate(_STAGES)]
    hidden = len(orders) - len(branches)
    return Drawing(_WIDTH, int(y + 6), stages, branches, hidden, " ".join(_description(branches, hidden)))


def _branch(order_id: str, connected: ConnectedDocument, y: float, most: int) -> Branch:
    middle = y + _ORDER / 2
    path = f"M{_ROOT_X:g} 28V{middle - 10:g}q0 10 10 10h14"
    items = connected["items"]
    lanes = [
        _lane(reference, line["status"], line["timeline"], middle + _LANE * (n + 1))
        for n, (reference, line) in zip(range(most), items.items(), strict=False)
    ]
    if not items:
        lanes = [_lane("", connected["status"], connected["timeline"], middle)]
    note = "not heard of yet" if connected["silent"] else ""
    if connected["disagrees"]:
        note = f"reported {spoken(connected['reportedStatus'])}"
    title = f"connected order {visible(order_id)}: {spoken(connected['status'])}"
    family = looks.of(connected["status"]).family
    return Branch(
        middle, path, short(order_id, 22), title, note, family, lanes, len(items) - len(lanes) if items else 0
    )


def _lane(reference: str, status: str, timeline: Mapping[str, str], y: float) -> Lane:
    seen = {_COLUMN[each]: each for each in timeline if each in _COLUMN and each not in _BESIDE}
    dots = [
        Dot(_x(column), f"{spoken(each)} {_day(timeline[each])}") for column, each in seen.items() if each != status
    ]
    halted = status not in _COLUMN or status in _BESIDE
    furthest = max(seen, default=0)
    now_x = _x(furthest + 0.5 if halted and status not in _COLUMN else _COLUMN.get(status, furthest))
    if status == "returned":
        now_x = _x(7.45)
    name = visible(reference)
    since = f" since {_day(timeline[status])}" if status in timeline else ""
    title = f"{name + ': ' if name else ''}{spoken(status)}{since}"
    return Lane(
        y, short(reference, _LABEL), title, looks.of(status).family, dots, now_x, short(spoken(status), 24), halted
    )


def track(line: LineDocument) -> Track:
    """The small track of a line."""
    columns = [_COLUMN[each] for each in (line["status"], *line["timeline"]) if each in _COLUMN]
    return Track(looks.of(line["status"]).family, max(columns, default=0) + 1)


def _x(column: float) -> float:
    return _FIRST + _STEP * column


def _day(time: str) -> str:
    return time.replace("T", " ").replace("Z", " UTC")


def _description(branches: list[Branch], hidden: int) -> Iterator[str]:
    for branch in branches:
        yield f"{branch.title}."
        yield from (f"{lane.title}." for lane in branch.lanes if lane.label)
        if branch.more:
            yield f"{branch.more} more items."
    if hidden:
        yield f"{hidden} more connected orders."
    yield "The table of items says the same."


def lines_of(document: Document) -> Iterator[tuple[str, str, LineDocument]]:
    """All lines of a document: connected order, item, line."""
    for order_id, connected in document["orders"].items():
        for reference, line in connected["items"].items():
            yield order_id, reference, line
