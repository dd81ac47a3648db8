"""How often a sign-in may fail: a few times per address, then slowly. Who has the right token waits with the rest of an
address that guesses, and nobody else does.

All receivers count together in Redis; each counts by itself as well, so that there is a limit while Redis is away. A try is
taken before the token is looked at, and given back where it was right: tries that come together are counted one by one.
"""

import contextlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from receiver.console.visit import Visit
from shared.errors import StoreUnavailable
from shared.store import sign_ins

BURST: Final = 10
EVERY_SECONDS: Final = 6.0
#: Addresses remembered; the one that tried longest ago is forgotten first.
_MOST: Final = 10_000


class Attempts:
    """A bucket of tries per address: `BURST` at once, then one in `EVERY_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, visit: Visit, address: str) -> float:
        """Take a try. Seconds until this address may have one; 0: it is taken."""
        address = _network(address)
        taken = self._count(address)
        if taken > BURST - 1:
            return (taken - (BURST - 1)) * EVERY_SECONDS
        self._set(address, taken + 1)
        try:
            wait: float = await visit.ask(sign_ins.take(address, BURST, EVERY_SECONDS))
        except StoreUnavailable:
            return 0.0
        if wait:
            self._set(address, self._count(address) - 1)
        return wait

    async def give_back(self, visit: Visit, address: str) -> None:
        """Give a try back: the token was right."""
        address = _network(address)
        self._set(address, self._count(address) - 1)
        with contextlib.suppress(StoreUnavailable):  # it is forgotten in a minute
            await visit.ask(sign_ins.give_back(address, EVERY_SECONDS))

    def _set(self, address: str, count: float) -> None:
        self._taken[address] = (count, self._clock())
        self._taken.move_to_end(address)
        if len(self._taken) > _MOST:
            self._taken.popitem(last=False)

    def _count(self, address: str) -> float:
        count, then = self._taken.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - then) / EVERY_SECONDS)


def _network(address: str) -> str:
    """What one sender has: an address, or the 64 bits of a network of IPv6, in which it may take any."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address) or ip.ipv4_mapped is not None:
        return address
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
