"""Is the server well? Asked with a write: a replica, a full server or one that cannot save answers reads as ever."""

from shared.store import keys
from shared.store.calls import Call, Operation

_KEPT_SECONDS = 60


def write() -> Operation[None]:
    """Write something small. Raises `StoreUnavailable` where the server refuses."""
    yield [Call("SET", (keys.PROBE,), ("1", "EX", _KEPT_SECONDS))]
