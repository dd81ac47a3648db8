"""Is the server well? Asked with a write: a replica, a full server or one that cannot save answers reads as ever."""

from shared.errors import StoreUnavailable
from shared.store import durability, keys
from shared.store.calls import Call, Operation
from shared.store.intake import Acknowledgement

_KEPT_SECONDS = 60


def write(asked: Acknowledgement = Acknowledgement(), *, cluster: bool = False) -> Operation[None]:  # noqa: B008  (immutable)
    """Write something small, as safely as events are asked to be.

    Raises `StoreUnavailable` where the server refuses, and where replicas or disk do not acknowledge in time.
    """
    wait = durability.wait_for(asked.replicas, fsync=asked.fsync, timeout_ms=asked.timeout_ms)
    _, *answers = yield [Call("SET", (keys.PROBE,), ("1", "EX", _KEPT_SECONDS)), *([] if cluster else wait)]
    if answers and not durability.waited(answers, asked.replicas, fsync=asked.fsync):
        raise StoreUnavailable("Redis: writes are not acknowledged by replicas or disk in time")
