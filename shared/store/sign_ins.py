"""How often a sign-in to the console may fail, counted for all receivers together."""

import hashlib
from typing import Final

from shared.store import keys
from shared.store.calls import Call, Operation
from shared.store.scripts import PACE

_SECOND_US: Final = 1_000_000
#: There are as many keys at most, however many addresses guess; two that share one share its tries.
_NAMES: Final = 1 << 20
_LASTS_MS: Final = 120_000


def take(address: str, burst: int, every_seconds: float) -> Operation[float]:
    """Take one of an address's tries: `burst` at once, then one in `every_seconds`. Seconds until it may; 0: it is taken."""
    interval_us = round(every_seconds * _SECOND_US)
    ((granted, wait_us),) = yield [Call(PACE, (_key(address),), (interval_us, (burst - 1) * interval_us, 0, 0))]
    return 0.0 if granted else int(wait_us) / _SECOND_US


def give_back(address: str, every_seconds: float) -> Operation[None]:
    """Give a try back: it was no guess."""
    key = _key(address)
    yield [
        Call("HINCRBY", (key,), ("t", -round(every_seconds * _SECOND_US))),
        Call("PEXPIRE", (key,), (_LASTS_MS,)),
    ]


def _key(address: str) -> str:
    digest = hashlib.blake2b(address.encode(errors="replace"), digest_size=8).digest()
    return keys.sign_in(f"{int.from_bytes(digest) % _NAMES:05x}")
