"""The clock of the receiver's host jumps: what is recorded is what counts, and the difference is alarmed."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import naive_model
import orjson
import pytest
from support.polling import eventually
from support.processes import Receiver

from faults.stage import Stage
from receiver.service import now_us
from shared.events import Usable, read_webhook
from shared.settings import Settings
from shared.store import Store, intake, orders
from shared.store.intake import Incoming
from worker.shift import shift

HOUR_US = 3_600_000_000
STATUSES = ("created", "passed", "in_production", "printed", "shipped", "canceled")


def event(number: int, status: str) -> dict[str, Any]:
    """An event without a clock of its own: it is dated by its receipt."""
    return {
        "id": f"os_{3_000_000_000 + number}",
        "event": "order_item_status_updated",
        "orderReferenceId": "order-1",
        "orderId": "gelato-1",
        "itemReferenceId": "mug",
        "status": status,
    }


def expected(store: Store) -> dict[str, Any]:
    """The document by the second, naive fold, of what was recorded."""
    log = store.run(orders.log("default", "order-1"))
    received = [naive_model.Received(orjson.loads(each.text), each.received, "webhook") for each in log]
    return _comparable(naive_model.document("default", "order-1", received))


def found(store: Store) -> dict[str, Any]:
    return _comparable(orjson.loads(store.run(orders.document("default", "order-1")) or b"{}"))


def _comparable(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("version", "updatedAt")}


@pytest.mark.parametrize("hours", list(itertools.permutations((0, -2, 3))))
def test_the_fold_uses_the_recorded_receipt_however_the_clock_jumped(store: Store, hours: tuple[int, ...]) -> None:
    start = now_us()
    for number, (hour, status) in enumerate(zip(hours * 2, STATUSES, strict=True)):
        usable = read_webhook(orjson.dumps(event(number, status)))
        assert isinstance(usable, Usable)
        received = start + hour * HOUR_US + number * 1_000_000
        store.run(intake.accept([Incoming("default", usable, received)], cluster=False))
        shift(store, Settings(), seconds=0)
    log = store.run(orders.log("default", "order-1"))
    assert [(each.received - start) // HOUR_US for each in log] == [*hours, *hours]
    assert found(store) == expected(store)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, receivers=1, workers=1)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


def test_a_jump_is_recorded_alarmed_and_shown_and_the_rollup_is_that_of_what_was_recorded(stage: Stage) -> None:
    (actor,) = stage.receivers
    receiver = actor.process
    assert isinstance(receiver, Receiver)
    store = Store.from_url(stage.server.url)
    posted: list[tuple[int, float]] = []

    def skewed(seconds: float) -> Callable[[], bool]:
        return lambda: abs(receiver.get("/readyz").json()["clockSkewSeconds"] - seconds) < 2.0

    try:
        for number, (seconds, status) in enumerate(zip((0, 7_200, -3_600), STATUSES, strict=False)):
            actor.set_clock(seconds)
            eventually(skewed(seconds), what="the receiver to measure its clock")
            posted.append((now_us(), seconds))
            assert receiver.post(event(number, status)).status_code == 200
        eventually(lambda: found(store).get("events") == 3, what="the rollup")
        recorded = [each.received for each in store.run(orders.log("default", "order-1"))]
        ahead = [received - at for received, (at, _) in zip(recorded, posted, strict=True)]
        assert ahead == pytest.approx([seconds * 1e6 for _, seconds in posted], abs=3e6)
        assert found(store) == expected(store)
        warnings = receiver.get("/readyz").json()["warnings"]
        assert any("clock differs" in each for each in warnings)

        def alarmed() -> bool:
            alarms = {round(each["seconds"], -1) for each in receiver.said() if "clocks" in each["event"]}
            return alarms >= {7_200, -3_600}

        eventually(alarmed, what="the alarms in the log")
    finally:
        store.close()
