"""Several real servers that belong together: a cluster, a primary with replicas and Sentinels. On TCP, on this machine."""

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from ops.embedded import server_binary
from shared.store import AsyncStore, keys, orders
from shared.store.calls import one
from support.polling import eventually
from support.processes import free_port

#: A node's bus is at its port + 10000.
_HIGHEST_CLUSTER_PORT = 55_000
_SLOTS = 16_384


class Node:
    """One server process on a TCP port; `options` are added to its command line."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = directory / str(self.port)
        self.directory.mkdir(parents=True)
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"redis://{self.address}/0"
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.client: Any = redis.Redis(port=self.port, protocol=2, socket_timeout=5.0)

    def start(self) -> "Node":
        """Start, or start again with what is on disk."""
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        eventually(self._alive, what=f"the server at {self.address} to answer")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop for good."""
        self.client.close()
        self.kill()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """A server that takes what it is sent, and answers when this ends."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def _command(self) -> list[str]:
        words = [server_binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [*words, "--save", "", "--loglevel", "notice", *self._options]

    def _alive(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "server.log").read_text()[-1000:])
        return bool(self.client.ping())


class Cluster:
    """Three primaries that share the slots."""

    def __init__(self, directory: Path) -> None:
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        )
        self.nodes = [Node(directory, *options, port=_cluster_port()) for _ in range(3)]
        self.url = "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def start(self) -> "Cluster":
        """Start the nodes, and make a cluster of them."""
        for node in self.nodes:
            node.start()
        for n, node in enumerate(self.nodes):
            first, last = n * _SLOTS // 3, (n + 1) * _SLOTS // 3 - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
        for node in self.nodes[1:]:
            node.client.execute_command("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        eventually(self.well, seconds=30, what="the cluster to be one")
        return self

    def well(self) -> bool:
        """Whether all nodes know all nodes and slots."""
        for node in self.nodes:
            info = node.client.execute_command("CLUSTER INFO")
            facts = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split())
            if facts["cluster_state"] != "ok" or facts["cluster_known_nodes"] != "3":
                return False
        return True

    def held(self) -> list[list[str]]:
        """All keys, per node."""
        return [[key.decode() for key in node.client.scan_iter(count=1000)] for node in self.nodes]

    def empty(self) -> None:
        """Empty all nodes, of scripts too."""
        for node in self.nodes:
            node.client.flushall()
            node.client.script_flush()

    def move_slot(self, slot: int, to: Node) -> None:
        """Give a slot, with its keys, to another node: clients learn of it when they ask the wrong one."""
        ids = {node.port: node.client.execute_command("CLUSTER MYID").decode() for node in self.nodes}
        source = next(node for node in self.nodes if self.has(node, slot))
        to.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.port])
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[to.port])
        while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
            source.client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
        for node in (to, source, *self.nodes):
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[to.port])

    def stop(self) -> None:
        """Stop for good."""
        for node in self.nodes:
            node.stop()

    def has(self, node: Node, slot: int) -> bool:
        return any(
            first <= slot <= last and int(owner[1]) == node.port
            for first, last, owner, *_ in node.client.execute_command("CLUSTER SLOTS")
        )


class _SentinelNode(Node):
    def __init__(self, directory: Path, primary: Node, service: str, quorum: int) -> None:
        super().__init__(directory)
        self._config = self.directory / "sentinel.conf"
        self._config.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {self.directory}\n"
            f"sentinel monitor {service} 127.0.0.1 {primary.port} {quorum}\n"
            # 400 ms were less than a busy machine's disk takes for an fsync now and then: the Sentinels failed over and
            # over again, and had two primaries for ten seconds.
            f"sentinel down-after-milliseconds {service} 1000\n"
            f"sentinel failover-timeout {service} 5000\n"
            f"sentinel parallel-syncs {service} 2\n"
        )

    def _command(self) -> list[str]:
        return [server_binary(), str(self._config), "--sentinel"]


class Replicated:
    """A primary, two replicas, and three Sentinels that watch over them."""

    SERVICE = "gelato"

    def __init__(self, directory: Path) -> None:
        disk = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0")
        self.primary = Node(directory, *disk)
        follow = ("--replicaof", f"127.0.0.1 {self.primary.port}")
        self.replicas = [Node(directory, *disk, *follow) for _ in range(2)]
        self.sentinels = [_SentinelNode(directory, self.primary, self.SERVICE, 2) for _ in range(3)]
        self.url = "redis+sentinel://" + ",".join(each.address for each in self.sentinels) + f"/{self.SERVICE}"

    def start(self) -> "Replicated":
        """Start all, and wait until each knows of the others."""
        for node in (self.primary, *self.replicas):
            node.start()
        eventually(lambda: self.primary.client.info("replication")["connected_slaves"] == 2, what="the replicas")
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(self._known, seconds=30, what="the Sentinels to know each other and the replicas")
        return self

    def where(self) -> int:
        """The port of the primary, as the Sentinels say."""
        ports = {
            int(each.client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self.SERVICE)[1])
            for each in self.sentinels
        }
        return ports.pop() if len(ports) == 1 else 0

    def kill_primary(self) -> Node:
        """SIGKILL the present primary."""
        port = self.where()
        node = next(each for each in (self.primary, *self.replicas) if each.port == port)
        node.kill()
        return node

    def failed_over(self, old: Node, seconds: float = 20.0) -> Node:
        """Wait until there is a new primary that takes writes."""

        def new() -> Node | None:
            port = self.where()
            if port in (0, old.port):
                return None
            found = next(each for each in (self.primary, *self.replicas) if each.port == port)
            return found if found.client.info("replication")["role"] == "master" else None

        return eventually(new, seconds=seconds, what="the Sentinels to fail over")

    def stop(self) -> None:
        """Stop for good."""
        for node in (*self.sentinels, self.primary, *self.replicas):
            node.stop()

    def _known(self) -> bool:
        for sentinel in self.sentinels:
            state = sentinel.client.sentinel_master(self.SERVICE)
            if state["num-other-sentinels"] != 2 or state["num-slaves"] != 2:
                return False
        return True


async def own_answers(url: str, nodes: Sequence[Node], *, hang_seconds: float = 0.15) -> None:
    """Cancel calls in their middle, while the servers hang and while they do not: each answer must be its own call's."""
    chance = random.Random(1)
    store = AsyncStore.from_url(url)

    def value(reference: str) -> bytes:
        return f"the document of {reference}".encode()

    async def ask(several: bool) -> None:
        references = [f"order-{chance.randrange(40)}" for _ in range(12 if several else 1)]
        if several:
            answers = await store.run(orders.documents("default", references))
        else:
            answers = [await store.run(orders.document("default", references[0]))]
        assert answers == [value(reference) for reference in references]

    async def cancelled(seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds) as bound:
                await ask(several=chance.random() < 0.5)
        except TimeoutError:
            return True
        assert not bound.expired(), "a cancellation was lost on the way"
        return False

    try:
        for n in range(40):
            await store.run(one("SET", keys.document_key("default", f"order-{n}"), arguments=(value(f"order-{n}"),)))
        await asyncio.gather(*(ask(several=True) for _ in range(8)))
        for _ in range(2):
            with ExitStack() as hanging:
                for node in nodes:
                    hanging.enter_context(node.hanging())
                assert all(await asyncio.gather(*(cancelled(hang_seconds / 2) for _ in range(16))))
            await asyncio.gather(*(ask(several=n % 2 == 0) for n in range(40)))
        outcomes: list[bool] = []
        for _ in range(40):
            outcomes += await asyncio.gather(*(cancelled(chance.random() * 0.008) for _ in range(16)))
        assert {True, False} == set(outcomes)
        await asyncio.gather(*(ask(several=n % 2 == 0) for n in range(40)))
    finally:
        await store.close()


def _cluster_port() -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (port := free_port()) < _HIGHEST_CLUSTER_PORT:
            return port
    raise AssertionError("no free port below 55000")
