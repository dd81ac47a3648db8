"""Orders of the simulator, as unit tests look at them."""

from typing import Any

import orjson

from ops.simulator import SimulatedOrder, make_orders
from ops.simulator.courier import Post

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOW_US = 1_795_000_000 * SECOND_US


def orders_of(n: int, seed: int = 1, trouble: float = 0.5, run: str = "run") -> list[SimulatedOrder]:
    """So many orders that ended before `NOW_US`."""
    return make_orders(n, seed, 4, trouble, run=run, now_us=NOW_US)


def post(event: int, **fields: Any) -> Post:
    """A post of event number `event` of the order `r`."""
    return Post("r", event, orjson.dumps({"event": event, "padding": "x" * 1000}), **fields)
