"""Makes simulated orders: pure, and the same for the same arguments."""

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ops.simulator.ids import Ids
from ops.simulator.lifecycle import DAY_US, QUIET_US, SECOND_US, Life, live
from ops.simulator.plans import TROUBLES, plan
from ops.simulator.truth import OrderTruth
from ops.simulator.webhooks import Herald, Webhook

_ITEMS = (
    "poster-13x18", "phone-case", "mug-15-oz", "tee shirt/L", "Größe #2", "1001", "20017", "canvas_30x40%",
    "framed-poster", "本",
)  # fmt: skip
# References are the merchant's own text: these tails must survive keys, paths and JSON.
_TAILS = ("", "", "", "", "", "/a b", "#é", "%2F", "{x}", "日本", "?q=1&r", "'\"\\", "~._-")
_MOST_LINES = 6


@dataclass(frozen=True)
class SimulatedOrder:
    """One order: its webhooks in true order (oldest first), and what its rollup must show after all of them.

    `trouble`: what befell it (one of `lifecycle.TROUBLES`), None for an order that simply arrives.
    """

    reference: str
    webhooks: tuple[Webhook, ...]
    truth: OrderTruth
    trouble: str | None


def make_orders(
    n: int, seed: int, split_max: int, trouble: float = 0.15, *, run: str = "run", now_us: int | None = None
) -> list[SimulatedOrder]:
    """`n` orders, each split into 1 to `split_max` connected orders, a share `trouble` of them in some
    trouble.

    `seed` decides what happens, `run` goes into every reference and id: another run with the same seed plays
    the same lives under other names. `now_us` (microseconds since 1970, default: the clock) is when sending
    begins; all true times lie 10 minutes to 5 days before it, so that ids with a clock stay valid (7 days)
    for a run of a day.
    """
    if n < 0 or split_max < 1 or not 0 <= trouble <= 1:
        raise ValueError(f"cannot make {n} orders of 1 to {split_max} parts with {trouble} trouble")
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    ids = Ids()
    return [_make_order(index, seed, split_max, trouble, run, now_us, ids) for index in range(n)]


def _make_order(
    index: int, seed: int, split_max: int, trouble_share: float, run: str, now_us: int, ids: Ids
) -> SimulatedOrder:
    rng = random.Random(f"{seed}/{index}")
    names = random.Random(f"{run}/{seed}/{index}")
    trouble = rng.choice(TROUBLES) if rng.random() < trouble_share else None
    reference = f"sim-{run}-{seed}-{index}{rng.choice(_TAILS)}"
    parts = _split(rng, split_max)
    troubled = rng.randrange(len(parts))
    latest_us = now_us - QUIET_US
    ordered_us = latest_us - rng.randrange(DAY_US, 5 * DAY_US - QUIET_US)
    lives = []
    for number, items in enumerate(parts):
        mine = trouble if number == troubled else None
        start_us = ordered_us + rng.randrange(600 * SECOND_US)
        end_us = start_us + int((latest_us - start_us) * rng.uniform(0.3, 1.0))
        order_id = str(uuid.UUID(int=names.getrandbits(128), version=4))
        steps = plan(rng, items, mine)
        lives.append(live(rng, names, order_id, steps, start_us, end_us, cancel=mine == "cancel_order"))
    return _announced(reference, lives, trouble, Herald(rng, names, ids, reference))


def _announced(reference: str, lives: Sequence[Life], trouble: str | None, herald: Herald) -> SimulatedOrder:
    for life in lives:
        herald.announce(life)
    webhooks = tuple(herald.webhooks())
    truth = OrderTruth(reference, tuple(life.truth() for life in lives), events=len(webhooks))
    return SimulatedOrder(reference, webhooks, truth, trouble)


def _split(rng: random.Random, split_max: int) -> list[list[str]]:
    """The items of each connected order. An item whose quantity is split is in two of them."""
    parts: list[list[str]] = [[] for _ in range(rng.randint(1, split_max))]
    items = rng.sample(_ITEMS, rng.randint(1, min(len(_ITEMS), len(parts) + 2)))
    for number, item in enumerate(items):
        parts[number % len(parts)].append(item)
    for part in parts:
        if not part or (len(part) < _MOST_LINES and rng.random() < 0.15):
            part.append(rng.choice([item for item in items if item not in part] or ["extra"]))
    return parts
