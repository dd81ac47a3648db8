"""A store as some version of the product wrote it, kept in a file: `tests/fixtures/stores/`.

`python -m support.stores CHECKOUT FILE` plays a few orders to receivers and workers of a checkout, by HTTP alone, and keeps
what is in the store then: orders that are open, finished, due, refused by the fold, half announced; logs that are packed;
dead letters. What a released version wrote is kept for ever: the present one must be able to go on with it.
"""

import os
import random
import signal
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import msgspec
from lifelike import lifelike_order

from support.events import item_status, order_status, tracking_code
from support.polling import eventually
from support.processes import FIXTURES, OPS_TOKEN, ROOT, Process, Receiver, environment
from support.seed import SEED
from support.server import Server

_FAULTY = ROOT / "tests" / "support" / "releases" / "faulty"
#: What processes say of themselves, and queues: of no use to anybody later.
_PASSING = (b"gelato:order", b"gelato:state", b"gelato:log", b"gelato:meta", b"gelato:due", b"gelato:marks")
_PASSING += (b"gelato:leases", b"gelato:index", b"gelato:changes", b"gelato:dead-letter", b"gelato:open")
_PASSING += (b"gelato:idle", b"gelato:attention", b"gelato:incomplete", b"gelato:disagrees", b"gelato:status-")
_PASSING += (b"gelato:find",)
LIVES = 12

Row = tuple[bytes, str, int, Any]


def dump(client: Any) -> bytes:
    """The keys of orders, their indexes and the dead letters, with their types, times to live (ms) and contents."""
    rows: list[Row] = []
    for key in sorted(client.scan_iter("gelato:*", count=1_000)):
        if key.startswith(_PASSING):
            kind = client.type(key).decode()
            rows.append((key, kind, client.pttl(key), _READ[kind](client, key)))
    return zlib.compress(msgspec.msgpack.encode(rows), 9)


def load(client: Any, file: Path) -> None:
    """Fill an empty server with what a file holds."""
    pipe = client.pipeline(transaction=False)
    for key, kind, ttl, content in msgspec.msgpack.decode(zlib.decompress(file.read_bytes())):
        _WRITE[kind](pipe, key, content)
        if ttl > 0:
            pipe.pexpire(key, ttl)
    pipe.execute()


_READ: dict[str, Any] = {
    "string": lambda client, key: client.get(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "hash": lambda client, key: client.hgetall(key),
    "set": lambda client, key: sorted(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "stream": lambda client, key: client.xrange(key),
}
_WRITE: dict[str, Any] = {
    "string": lambda pipe, key, value: pipe.set(key, value),
    "list": lambda pipe, key, values: pipe.rpush(key, *values),
    "hash": lambda pipe, key, fields: pipe.hset(key, mapping=fields),
    "set": lambda pipe, key, members: pipe.sadd(key, *members),
    "zset": lambda pipe, key, pairs: pipe.zadd(key, dict(pairs)),
    "stream": lambda pipe, key, entries: [pipe.xadd(key, fields, id=place) for place, fields in entries],
}


class Old:
    """Receivers and workers of a checkout, one after the other, on one server."""

    def __init__(self, checkout: Path, server: Server, home: Path) -> None:
        self.checkout, self.server, self.home = checkout, server, home
        self.env = environment(server.url, home / "var", PYTHONPATH=str(checkout))
        self.receiver = Receiver(self.env, home / "receiver.log").start()

    def worker(self, *, faulty: bool = False) -> Process:
        """Start a worker; a faulty one cannot fold tracking codes."""
        path = f"{_FAULTY}{os.pathsep}{self.checkout}" if faulty else str(self.checkout)
        words = ["worker", "--processes", "1"]
        env = {**self.env, "PYTHONPATH": path, "GELATO_FOLD_BACKOFF_SECONDS": "0.2"}
        return Process(words, env, self.home / "worker.log").start()

    def post(self, *bodies: Any) -> None:
        """Post webhooks."""
        for body in bodies:
            assert self.receiver.post(body).status_code in (200, 202, 400)

    def nothing_due(self) -> bool:
        """Whether all that was posted is folded."""
        return not any(self.server.client.zcard(f"gelato:due:{{{shard}}}") for shard in range(8))


def fill(checkout: Path, server: Server, home: Path) -> bytes:
    """Play orders to a checkout's processes; what they have stored."""
    old = Old(checkout, server, home)
    client: Any = server.client
    worker = old.worker()
    for seed in range(LIVES):
        history = lifelike_order(random.Random(seed), f"life-{seed}")
        webhooks = [each.event for each in history if each.source == "webhook"]
        old.post(*webhooks[: len(webhooks) // 2])
        old.post(*webhooks[len(webhooks) // 2 :])
        snapshots = [each.event for each in history if each.source != "webhook"]
        for snapshot in snapshots:
            headers = {"Authorization": f"Bearer {OPS_TOKEN}"}
            assert old.receiver.client.post("/snapshots", json=snapshot, headers=headers).status_code == 200
    old.post(*((FIXTURES / name).read_bytes() for name in SEED))
    for status in ("passed", "printed", "shipped", "delivered"):
        old.post(order_status(orderReferenceId="done", id=f"os_{status}", fulfillmentStatus=status))
        eventually(old.nothing_due, seconds=30)
    old.post(b"{", b"\xff", {"event": "new_in_2030"}, item_status(status=None), item_status(status=None))
    _announce_nothing(old, client)
    eventually(old.nothing_due, seconds=30)
    worker.send(signal.SIGTERM)
    worker.process and worker.process.wait(20)
    worker = old.worker(faulty=True)
    old.post(order_status(orderReferenceId="parked"), tracking_code(orderReferenceId="parked"))
    eventually(lambda: client.zcard("gelato:dead-letters") == 5, seconds=60, what="the fold's letter")
    worker.kill()
    worker = Process(["worker", "--processes", "1"], {**old.env, "PYTHONPATH": f"{_FAULTY}:{checkout}"}, home / "w.log")
    worker.start()
    old.post(order_status(orderReferenceId="deferred"), tracking_code(orderReferenceId="deferred"))
    eventually(lambda: client.exists("gelato:order:{default/deferred}"), what="the order without its parcel")
    worker.kill()
    old.post(item_status(orderReferenceId="done", status="returned", id="is_late"), item_status(orderReferenceId="new"))
    old.receiver.stop()
    return dump(client)


def _announce_nothing(old: Old, client: Any) -> None:
    """Leave an order with a change that was not told: no worker can tell any while the stream is none."""
    client.rename("gelato:changes", "aside")
    client.set("gelato:changes", "no stream")
    old.post(order_status(orderReferenceId="untold"))
    eventually(lambda: client.hexists("gelato:meta:{default/untold}", "n"), what="the commit")
    note = client.hget("gelato:meta:{default/untold}", "n")
    client.delete("gelato:changes")
    client.rename("aside", "gelato:changes")
    eventually(old.nothing_due, seconds=60)
    client.hset("gelato:meta:{default/untold}", "n", note)


def main() -> None:
    """Make a fixture."""
    checkout, file = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        server = Server(home)
        server.start()
        try:
            file.write_bytes(fill(checkout, server, home))
        finally:
            server.stop()
    print(file, file.stat().st_size, "bytes")  # noqa: T201


if __name__ == "__main__":
    main()
