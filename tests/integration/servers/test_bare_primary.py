"""A primary that has lost its replicas, behind three real Sentinels: cut off from them, or alone for good."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.events import item_status, webhook
from support.polling import eventually
from support.processes import Receiver, environment
from support.servers import Node, Replicated

from shared.store import Store, intake, orders
from shared.store.intake import Acknowledgement

USER, PASSWORD = "gelato", "a-password"


@pytest.fixture
def receiver(replicated: Replicated, tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with a user of its own at the servers."""
    for node in (replicated.primary, *replicated.replicas):
        node.client.execute_command("ACL SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
    url = replicated.url.replace("redis+sentinel://", f"redis+sentinel://{USER}:{PASSWORD}@")
    env = environment(url, tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes")
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    yield receiver
    receiver.stop()


def ready(receiver: Receiver) -> dict[str, Any]:
    answer: dict[str, Any] = receiver.get("/readyz").json()
    return answer


def knows_of_replicas(receiver: Receiver) -> bool:
    return bool(ready(receiver).get("server", {}).get("replicas"))


class Isolated:
    """A primary that only the service's user reaches: replicas and Sentinels are cut off, as by a broken network."""

    def __init__(self, node: Node) -> None:
        self.node = node
        node.client.execute_command("ACL SETUSER", USER, "+@all")
        node.client.execute_command("ACL SETUSER default off")
        self.client: Any = Store.from_url(f"redis://{USER}:{PASSWORD}@{node.address}/0").client
        self.client.execute_command("CLIENT KILL", "USER", "default", "SKIPME", "yes")
        self.client.execute_command("CLIENT KILL", "TYPE", "replica")

    def rejoin(self, new: Node) -> None:
        """The network is whole again, and the old primary a replica: the Sentinels would tell it so some seconds later."""
        self.client.execute_command("ACL SETUSER default on")
        self.client.execute_command("REPLICAOF", "127.0.0.1", new.port)
        self.client.close()


def post(receiver: Receiver, n: int) -> dict[str, Any]:
    answer: dict[str, Any] = receiver.post(item_status(id=f"is_{n}", comment=str(n))).json()
    assert answer["result"] in ("accepted", "duplicate")
    return answer


def test_nothing_is_lost_that_was_answered_for_while_the_primary_was_cut_off(
    replicated: Replicated, receiver: Receiver
) -> None:
    eventually(lambda: knows_of_replicas(receiver), what="the receiver to know of the replicas")
    numbers = iter(range(1_000_000))
    answered = [next(numbers) for _ in range(20)]
    assert not any("spooled" in post(receiver, n) for n in answered)
    isolated = Isolated(replicated.primary)
    new = replicated.failed_over(replicated.primary)

    def posted(count: int) -> bool:
        for _ in range(count):
            answered.append(next(numbers))
            post(receiver, answered[-1])
        return True

    # Longer than a receiver's look at the server takes to come round: it sees a primary without replicas.
    enough = time.monotonic() + 6.0
    eventually(lambda: posted(1) and time.monotonic() > enough, what="the receiver to have looked")
    isolated.rejoin(new)
    eventually(
        lambda: new.client.info("replication")["connected_slaves"] == 2, seconds=75, what="the old one to be a replica"
    )
    posted(5)
    eventually(
        lambda: ready(receiver)["where"] == "redis" and ready(receiver)["spooled"] == 0,
        seconds=30,
        what="the spool to be drained",
    )
    store = Store.from_url(f"redis://{USER}:{PASSWORD}@{new.address}/0")
    log = store.run(orders.log("default", "REF-1"))
    store.close()
    assert sorted(int(orjson.loads(record.text)["comment"]) for record in log) == answered


def test_a_primary_whose_replicas_have_died_takes_events_alone_after_a_while_and_says_so(
    replicated: Replicated, receiver: Receiver
) -> None:
    eventually(lambda: knows_of_replicas(receiver), what="the receiver to know of the replicas")
    for node in replicated.replicas:
        node.kill()
    assert post(receiver, 1)["spooled"]
    eventually(lambda: ready(receiver)["where"] == "redis", seconds=20, what="the primary to be trusted alone")
    assert any("replicas are gone" in warning for warning in ready(receiver)["warnings"])
    numbers = itertools.count(2)
    eventually(lambda: "spooled" not in post(receiver, next(numbers)), what="events to go to the primary")
    replicated.replicas[0].start()
    eventually(
        lambda: knows_of_replicas(receiver) and not any("are gone" in each for each in ready(receiver)["warnings"]),
        seconds=20,
        what="the replica to be counted on again",
    )


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_a_replica_and_the_disk_acknowledge_events_in_time(tmp_path: Path, fsync: bool, policy: str) -> None:
    disk = ("--appendonly", "yes", "--appendfsync", policy, "--repl-diskless-sync-delay", "0")
    primary = Node(tmp_path, *disk).start()
    replica = Node(tmp_path, *disk, "--replicaof", f"127.0.0.1 {primary.port}").start()
    store = Store.from_url(primary.url)
    try:
        eventually(lambda: primary.client.info("replication").get("slave0", {}).get("state") == "online")
        asked = Acknowledgement(1, fsync, timeout_ms=600)

        def accepted(n: int) -> bool:
            (outcome,) = store.run(intake.accept([webhook("A", n)], cluster=False, acknowledgement=asked))
            return outcome.result is not None

        eventually(lambda: accepted(0) or accepted(1), what="the replica to be in step")
        assert [accepted(n) for n in range(2, 8)] == [True] * 6
        replica.send(signal.SIGSTOP)
        assert not accepted(9), "stored, but not as safely as asked"
    finally:
        store.close()
        replica.stop()
        primary.stop()
