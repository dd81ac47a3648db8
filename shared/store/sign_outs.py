"""Sessions of the console that were signed out before their time."""

from shared.store import keys
from shared.store.calls import Call, Operation


def sign_out(session_id: str, lasts_ms: int) -> Operation[None]:
    """End a session; it is remembered until it would have ended by itself, in `lasts_ms`."""
    yield [Call("SET", (keys.sign_out(session_id),), (1, "PX", max(1, lasts_ms)))]


def is_signed_out(session_id: str) -> Operation[bool]:
    """Whether a session was ended."""
    (found,) = yield [Call("EXISTS", (keys.sign_out(session_id),))]
    return bool(found)
