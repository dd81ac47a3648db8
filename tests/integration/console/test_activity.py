"""The service's activity, as the console draws it; on one server and on a cluster."""

import time
from collections.abc import Callable

from support.polling import eventually
from support.processes import Process, Receiver, fixture

from shared.store import Store, activity, keys


def test_what_happened_is_read_back_step_by_step(store: Store) -> None:
    now = 1_700_000_000
    for _ in range(2):
        store.run(activity.add({now: {"accepted": 3, "ack:0.001": 3}, now - 10: {"spooled": 1}}))
    store.run(activity.report({now: {"folded": 4, "doc:0.05": 99, "doc:inf": 1}}, {}, "w", 1_000))
    points = store.run(activity.read(activity.HOUR, now + 9))
    assert [point.at for point in points] == list(range(now - 3590, now + 1, 10))
    last, before = points[-1], points[-2]
    assert (last.accepted, last.spooled, last.folded, before.accepted, before.spooled) == (6, 0, 4, 0, 2)
    assert last.acknowledgement_p50 is not None
    assert 0.0005 < last.acknowledgement_p50 < 0.001
    assert last.to_document_p99 == 0.05
    assert before.acknowledgement_p50 is None
    day = store.run(activity.read(activity.DAY, now + 9))
    assert len(day) == 288
    assert sum(point.accepted for point in day) == 6


def test_steps_go_when_their_series_ends(store: Store) -> None:
    now = int(time.time())
    store.run(activity.add({now: {"accepted": 1}}))
    for series in (activity.HOUR, activity.DAY):
        kept = store.client.ttl(keys.activity(series.step, now // series.step))
        assert series.span <= kept <= series.span + series.step
    assert store.client.dbsize() == 2


def test_a_receiver_and_a_worker_tell_what_they_do(
    receiver: Receiver, start: Callable[..., Process], store: Store
) -> None:
    worker = start("worker")
    body = fixture("itemStatus-os_3193599925.json")
    assert receiver.post(body).json()["result"] == "accepted"
    assert receiver.post(body).json()["result"] == "duplicate"
    assert receiver.post(b"{}").json()["result"] == "quarantined"

    def told() -> activity.Point | None:
        points = store.run(activity.read(activity.HOUR, int(time.time())))
        total = [sum(values) for values in zip(*(point[1:7] for point in points), strict=True)]
        return points[-1] if total == [1, 1, 1, 0, 1, 1] else None

    eventually(told, what="the activity to be told")
    last_event = int(store.client.get(keys.LAST_EVENT)) / 1000
    assert abs(last_event - time.time()) < 60
    assert store.client.zcard(keys.WORKERS) == 1
    assert worker.terminate() == 0
    assert store.client.zcard(keys.WORKERS) == 0, "a worker that ends says so"
    totals = store.run(activity.totals())
    assert totals["gelato_events_folded_total"] == {(): 1}
    to_document = totals["gelato_time_to_document_seconds"][()]
    assert isinstance(to_document, list)
    assert sum(to_document[1:]) == 1
    assert 0 < to_document[0] < 60


def test_totals_only_grow_while_workers_come_and_go(
    receiver: Receiver, start: Callable[..., Process], store: Store
) -> None:
    def folded() -> int:
        value = store.run(activity.totals()).get("gelato_events_folded_total", {}).get((), 0)
        assert isinstance(value, int)
        return value

    event = fixture("itemStatus-os_3193599925.json")
    for number, end in ((1, Process.kill), (2, Process.terminate)):
        worker = start("worker")
        receiver.post(event.replace(b"os_3193599925", b"os_%d" % number))
        eventually(lambda wanted=number: folded() == wanted, what=f"{number} events to be counted")
        end(worker)
        assert folded() == number
