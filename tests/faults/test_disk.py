"""The spool's disk is full: 503 and never a false 2xx; what the spool holds gets out all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import eventually
from support.processes import Receiver

from faults.stage import Stage


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"os_{number}",
        "event": "order_status_updated",
        "orderId": "gelato-disk",
        "orderReferenceId": "order-disk",
        "fulfillmentStatus": "passed",
        "created": "2026-11-01T00:00:00Z",
        "comment": "x" * 2000,
    }


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, workers=0)
    try:
        stage.start()
        if not stage.disk:
            pytest.skip("a tmpfs cannot be mounted here: not root")
        yield stage
    finally:
        stage.stop()


def receiver(stage: Stage, n: int) -> Receiver:
    process = stage.receivers[n].process
    assert isinstance(process, Receiver)
    return process


def kept(stage: Stage) -> int:
    return int(stage.server.client.llen("gelato:log:{default/order-disk}"))


def test_a_full_disk_is_503_and_never_a_false_2xx(stage: Stage) -> None:
    stage.server.kill()
    accepted = sum(receiver(stage, n % 2).post(event(n)).status_code == 200 for n in range(20))
    with stage.full_disk():
        answers = [receiver(stage, n % 2).post(event(n)) for n in range(100, 200)]
        assert answers[-1].status_code == 503
        assert int(answers[-1].headers["retry-after"]) > 0
        accepted += sum(each.status_code == 200 for each in answers)
        assert {each.status_code for each in answers} <= {200, 503}
    assert receiver(stage, 0).post(event(300)).status_code == 200, "with room again, events are taken again"
    stage.server.start()
    eventually(lambda: kept(stage) == accepted + 1, what="all that was accepted to be in the log")
    eventually(lambda: receiver(stage, 1).get("/readyz").json()["spooled"] == 0, what="the spool to be empty")
    assert kept(stage) == accepted + 1, "and nothing else"


def test_the_spool_drains_while_its_disk_is_still_full(stage: Stage) -> None:
    stage.server.kill()
    for n in range(300):
        assert receiver(stage, n % 2).post(event(n)).status_code == 200
    with stage.full_disk():
        stage.server.start()
        eventually(lambda: receiver(stage, 0).get("/readyz").json()["spooled"] == 0, what="the spool to be empty")
    assert kept(stage) == 300
