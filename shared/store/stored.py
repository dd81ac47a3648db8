"""What is stored of an order besides its events and its document: the state of the fold, and the worker's notes."""

import zlib
from typing import Final

import msgspec

from shared.rollup import STATE_FORMAT, State


class Deferred(msgspec.Struct, array_like=True):
    """An event whose fold raised, to be tried again: its record, how often it was tried, when the next try is due (ms)."""

    record: bytes
    attempts: int
    not_before_ms: int


class Stored(msgspec.Struct, array_like=True):
    """The stored state of one order."""

    state: State
    #: Version, status and digest (without version and time of update) of the document as last written.
    version: int = 0
    status: str | None = None
    digest: bytes = b""
    deferred: list[Deferred] = []
    #: Digests of the events that were parked as dead letters.
    parked: list[bytes] = []
    #: How the indexes list the order: `indexes.flags_of` the document as last written.
    flags: int = 0


_PLAIN: Final = b"%dm" % STATE_FORMAT
_COMPRESSED: Final = b"%dz" % STATE_FORMAT
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Stored)


def encode(stored: Stored, *, compress: bool) -> bytes:
    """As bytes. Compressing saves two thirds and costs more than the rest of a fold: for orders that are done."""
    plain = _PLAIN + _ENCODER.encode(stored)
    return compressed(plain) if compress else plain


def compressed(raw: bytes) -> bytes:
    """An encoded state, compressed if it was not."""
    return _COMPRESSED + zlib.compress(raw[len(_PLAIN) :], 1) if raw.startswith(_PLAIN) else raw


def decode(raw: bytes) -> Stored | None:
    """The inverse of `encode`; None for nothing, and for a layout of another version: rebuild from the log then."""
    prefix, packed = raw[: len(_PLAIN)], raw[len(_PLAIN) :]
    if prefix == _PLAIN:
        return _DECODER.decode(packed)
    if prefix == _COMPRESSED:
        return _DECODER.decode(zlib.decompress(packed))
    return None
