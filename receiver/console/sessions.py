"""Sessions of the console: a signed cookie, so that any receiver on any machine knows it, and needs no server to read it.

The key is derived from the ops token: changing the token ends every session. A session is signed out by id
(`shared.store.sign_outs`), since a cookie that was copied would outlive its deletion.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from shared.secret import Secret

LASTS_SECONDS: Final = 12 * 3600
_MAX_COOKIE: Final = 1024


class Session(NamedTuple):
    """Who is signed in. `operator`: the name they gave, for the audit log. `until`: seconds since the epoch."""

    id: str
    operator: str
    until: int

    def left_ms(self) -> int:
        """How long it still lasts."""
        return max(0, int((self.until - time.time()) * 1000))


class Sessions:
    """Makes and reads sessions under one ops token."""

    def __init__(self, ops_token: Secret, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(ops_token.reveal().encode(), b"gelato-rollup console", hashlib.sha256)
        self._clock = clock

    def begin(self, operator: str) -> tuple[Session, str]:
        """A new session, and the cookie that carries it."""
        session = Session(secrets.token_urlsafe(18), operator, int(self._clock()) + LASTS_SECONDS)
        content = msgspec.msgpack.encode(session)
        return session, f"{_text(content)}.{_text(self._sign(b'session', content))}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it was not made here, was changed, or has ended."""
        content, _, signature = cookie.partition(".")
        if len(cookie) > _MAX_COOKIE or not signature:
            return None
        try:
            signed = _bytes(content)
            if not hmac.compare_digest(self._sign(b"session", signed), _bytes(signature)):
                return None
            session = msgspec.msgpack.decode(signed, type=Session)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return None
        return session if session.until > self._clock() else None

    def form_token(self, session: Session) -> str:
        """What every form of this session carries: a page of another site cannot know it."""
        return _text(self._sign(b"form", session.id.encode()))

    def _sign(self, what: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, what + b"\0" + content, hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
