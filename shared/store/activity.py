"""The service's activity: what happened lately, for small plots; and what the workers have counted in all.

Two bounded series: steps of 10 seconds for an hour, of 5 minutes for a day. Each step is a hash that expires. Receivers and
workers add to it about once a second each, whatever the load. What was added, but whose answer was lost, is added again: the
series are for eyes, not for accounts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from shared.counting import Bounds, Labels, Values, quantile
from shared.metrics import ACKNOWLEDGEMENT_BOUNDS, DOCUMENT_BOUNDS, METRICS, Kind
from shared.store import keys
from shared.store.calls import Batch, Call, Operation, Step
from shared.store.scripts import BEAT, TALLY

#: Fields of a step: webhooks by result, events folded, dead letters buried (on their way in, and by workers).
ACCEPTED, DUPLICATE, QUARANTINED, SPOOLED = "accepted", "duplicate", "quarantined", "spooled"
FOLDED, BURIED = "folded", "buried"
#: Histograms: the field is this, and a bucket's upper bound.
ACKNOWLEDGEMENT, DOCUMENT = "ack", "doc"

Deltas = Mapping[str, int]
_MICRO: Final = 1_000_000


class Series(NamedTuple):
    """A series: its step, and how far it goes back, in seconds."""

    step: int
    span: int


HOUR: Final = Series(10, 3_600)
DAY: Final = Series(300, 86_400)
_SERIES: Final = (HOUR, DAY)


class Point(NamedTuple):
    """One step of a series. `at`: its beginning, Unix seconds. Counts are of the whole step; latencies are in seconds,
    None where nothing happened.
    """

    at: int
    accepted: int
    duplicate: int
    quarantined: int
    spooled: int
    folded: int
    buried: int
    acknowledgement_p50: float | None
    acknowledgement_p99: float | None
    to_document_p50: float | None
    to_document_p99: float | None


def fields_of(prefix: str, bounds: Bounds, counts: Iterable[float]) -> dict[str, int]:
    """The fields of a histogram's bucket counts; empty buckets have none."""
    return {f"{prefix}:{bound}": int(n) for bound, n in zip((*bounds, "inf"), counts, strict=True) if n}


def add(happened: Mapping[int, Deltas], *, last_event_ms: int | None = None) -> Operation[None]:
    """Add what happened, by Unix second; and when the last usable webhook came."""
    step = _to_add(happened, {})
    if last_event_ms is not None:
        step.append(Call("SET", (keys.LAST_EVENT,), (last_event_ms,)))
    if step:
        yield step


def report(happened: Mapping[int, Deltas], totals: Deltas, worker: str, alive_ms: int) -> Operation[None]:
    """A worker's report: what happened, by Unix second; what it adds to the totals; and that it is alive (0: it ends)."""
    yield [*_to_add(happened, totals), Call(BEAT, (keys.WORKERS,), (worker, alive_ms))]


def last_event_ms() -> Operation[int | None]:
    """When the last usable webhook came, milliseconds; None before the first."""
    (told,) = yield [Call("GET", (keys.LAST_EVENT,))]
    return None if told is None else int(told)


def live_workers() -> Operation[int]:
    """How many workers have reported lately."""
    (live,) = yield [Call(BEAT, (keys.WORKERS,), ("", 0))]
    return int(live)


def read(series: Series, now: int) -> Operation[list[Point]]:
    """The steps of a series up to now (Unix seconds), oldest first; one where nothing happened is all zeros."""
    last = now // series.step
    slots = range(last - series.span // series.step + 1, last + 1)
    answers = yield [Call("HGETALL", (keys.activity(series.step, slot),)) for slot in slots]
    return [_point(slot * series.step, _numbers(answer)) for slot, answer in zip(slots, answers, strict=True)]


def totals() -> Operation[Values]:
    """What all workers have counted, as the metrics it belongs to."""
    (answer,) = yield [Call("HGETALL", (keys.TOTALS,))]
    return _metrics_of(_numbers(answer))


def total_fields(values: Values) -> dict[str, int]:
    """The fields of the totals for what a worker has counted. Sums are kept in millionths."""
    fields: dict[str, int] = {}
    for name, samples in values.items():
        for value in samples.values():
            if isinstance(value, list):
                fields |= fields_of(name, METRICS[name].bounds, value[1:])
                fields[f"{name}:sum"] = round(value[0] * _MICRO)
            else:
                fields[name] = int(value)
    return {field: number for field, number in fields.items() if number}


def _to_add(happened: Mapping[int, Deltas], totals: Deltas) -> Step:
    slots: dict[tuple[Series, int], dict[str, int]] = {}
    for second, deltas in happened.items():
        for series in _SERIES:
            fields = slots.setdefault((series, second // series.step), {})
            for field, number in deltas.items():
                fields[field] = fields.get(field, 0) + number
    items = [
        _item(keys.activity(series.step, slot), series.span + series.step, fields)
        for (series, slot), fields in slots.items()
        if fields
    ]
    if totals:
        items.append(_item(keys.TOTALS, 0, totals))
    return [Batch(TALLY, items)] if items else []


def _item(key: str, kept_seconds: int, fields: Deltas) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    words = tuple(word for field in fields.items() for word in field)
    return (key,), (kept_seconds, len(fields), *words)


def _numbers(answer: Any) -> dict[str, int]:
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[0::2], answer[1::2], strict=True)
    return {field.decode(): int(number) for field, number in pairs}


def _point(at: int, fields: Deltas) -> Point:
    acknowledgement = _counts(fields, ACKNOWLEDGEMENT, ACKNOWLEDGEMENT_BOUNDS)
    document = _counts(fields, DOCUMENT, DOCUMENT_BOUNDS)
    return Point(
        at=at,
        accepted=fields.get(ACCEPTED, 0),
        duplicate=fields.get(DUPLICATE, 0),
        quarantined=fields.get(QUARANTINED, 0),
        spooled=fields.get(SPOOLED, 0),
        folded=fields.get(FOLDED, 0),
        buried=fields.get(BURIED, 0),
        acknowledgement_p50=quantile(ACKNOWLEDGEMENT_BOUNDS, acknowledgement, 0.5),
        acknowledgement_p99=quantile(ACKNOWLEDGEMENT_BOUNDS, acknowledgement, 0.99),
        to_document_p50=quantile(DOCUMENT_BOUNDS, document, 0.5),
        to_document_p99=quantile(DOCUMENT_BOUNDS, document, 0.99),
    )


def _counts(fields: Deltas, prefix: str, bounds: Bounds) -> list[float]:
    """Bucket counts; a bound that another version counted by is left out."""
    return [fields.get(f"{prefix}:{bound}", 0) for bound in (*bounds, "inf")]


def _metrics_of(fields: Deltas) -> Values:
    values: Values = {}
    none: Labels = ()
    for name, metric in METRICS.items():
        if metric.kind is Kind.HISTOGRAM and f"{name}:sum" in fields:
            values[name] = {none: [fields[f"{name}:sum"] / _MICRO, *_counts(fields, name, metric.bounds)]}
        elif name in fields:
            values[name] = {none: fields[name]}
    return values
