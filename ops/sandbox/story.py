"""The story of one submitted order, told beforehand from the seed: where it is made, what happens, what is said of it.

The same seed, customer, reference and items make the same story, whenever and in whatever order they are submitted.

One rule keeps the end of every story decidable at any speed: a line ends in a final status, or in the one of the highest
rank that it ever had. (Webhooks say when they were made to the second; at a day per second, an `on_hold` and the `passed`
after it may fall into the same one, and then the higher rank is believed. Such lines go on to `shipped` and beyond.)
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ops.sandbox.hubs import Hub, hub_of, other_hub
from ops.simulator.ids import Ids
from ops.simulator.lifecycle import GAP_US, Life, Moment, live
from ops.simulator.plans import Step, plan
from ops.simulator.webhooks import Facility, Herald, Webhook

TROUBLES: Final = (
    "hold", "hold_stuck", "failed", "failed_retried", "cancel_item", "cancel_order", "returned", "late_scan", "reroute",
)  # fmt: skip
"""What can befall an order: those of `ops.simulator.lifecycle`, and `reroute`: another hub makes an item after all."""
NO_TROUBLE: Final = "none"
_OVERTAKEN_BY_AT_MOST = 4


@dataclass(frozen=True)
class Fate:
    """Drawn for each webhook, whatever the chances are: the same webhooks are lost at 0.3 as at 0.2, and some more.

    `lose`, `duplicate`, `reorder`: draws from 0 to 1, to be held against the chances. `overtaken_by`: how many later
    webhooks of its connected order are sent before it, if it is held back.
    """

    lose: float
    duplicate: float
    reorder: float
    overtaken_by: int


@dataclass(frozen=True)
class Telling:
    """A webhook, and what will become of it. `made_us`: story time since the order's submission."""

    webhook: Webhook
    fate: Fate
    made_us: int


@dataclass(frozen=True)
class Part:
    """One connected order. Its moments' `at_us` are story time since the submission; it exists from the first one on."""

    hub: Hub
    life: Life
    tellings: tuple[Telling, ...]


@dataclass(frozen=True)
class Story:
    """All connected orders that the order ever has, and the trouble that befalls it."""

    parts: tuple[Part, ...]
    trouble: str | None


def tell(
    seed: str, reference: str | int, items: Sequence[dict[str, Any]], *, trouble: float | str, life_us: int, now_us: int
) -> Story:
    """The story of an order with these `items` (`itemReferenceId`, `productUid`).

    `seed`: whatever tells this submission from others. `trouble`: its chance, or its name. `life_us`: how long a
    connected order lives at most. `now_us`: microseconds since 1970; only delivery estimates depend on it.
    """
    rng, names = random.Random(f"{seed}/rng"), random.Random(f"{seed}/names")
    chance, which = rng.random(), rng.choice(TROUBLES)
    befalls: str | None = which
    if isinstance(trouble, str):
        befalls = None if trouble == NO_TROUBLE else trouble
    elif chance >= trouble:
        befalls = None
    lives = _lives(rng, names, _by_hub(items), befalls, life_us, now_us)
    store = Herald(rng, names, Ids(), reference)
    parts = []
    for hub, life in lives:
        store.announce(life, hub.facility())
    webhooks = store.webhooks()
    for hub, life in lives:
        mine = [webhook for webhook in webhooks if webhook.payload["orderId"] == life.order_id]
        parts.append(Part(hub, _since(life, now_us), _tellings(f"{seed}/{life.order_id}", mine, now_us)))
    return Story(tuple(parts), befalls)


def retell(seed: str, reference: str | int, life: Life, facility: Facility) -> tuple[Telling, ...]:
    """What is said of a life that took another turn (a cancellation by the API). Times as the life's own."""
    rng, names = random.Random(f"{seed}/rng"), random.Random(f"{seed}/names")
    herald = Herald(rng, names, Ids(), reference)
    herald.announce(life, facility)
    return _tellings(seed, herald.webhooks(), 0)


def canceled(moment: Moment, at_us: int) -> Moment:
    """What follows this moment when the connected order is canceled: all its lines are."""
    return Moment(
        at_us=at_us,
        statuses=dict.fromkeys(moment.statuses, "canceled"),
        reported="canceled",
        changed=tuple(item for item, status in moment.statuses.items() if status != "canceled"),
        parcels=moment.parcels,
    )


def _by_hub(items: Sequence[dict[str, Any]]) -> dict[Hub, list[str]]:
    made: dict[Hub, list[str]] = {}
    for item in items:
        made.setdefault(hub_of(str(item["productUid"])), []).append(str(item["itemReferenceId"]))
    return made


def _lives(
    rng: random.Random,
    names: random.Random,
    made: dict[Hub, list[str]],
    trouble: str | None,
    life_us: int,
    start_us: int,
) -> list[tuple[Hub, Life]]:
    troubled = rng.randrange(len(made))
    lives = []
    moved: list[tuple[Hub, Life]] = []
    for number, (hub, items) in enumerate(made.items()):
        mine = trouble if number == troubled else None
        end_us = start_us + int(life_us * rng.uniform(0.6, 1.0))
        steps = plan(rng, items, "cancel_item" if mine == "reroute" else mine)
        life = live(rng, names, _order_id(names), steps, start_us, end_us, cancel=mine == "cancel_order")
        lives.append((hub, life))
        if mine == "reroute":
            moved = [
                (other_hub(hub), _moved(rng, names, item, _canceled_at(life, item), end_us))
                for item in _canceled_in(life)
            ]
    return lives + moved


def _moved(rng: random.Random, names: random.Random, item: str, canceled_us: int, end_us: int) -> Life:
    """An item that another hub makes after all: a connected order of its own, from a little after it was canceled."""
    start_us = canceled_us + rng.randrange(GAP_US)
    steps: dict[str, list[Step]] = plan(rng, [item], None)
    return live(rng, names, _order_id(names), steps, start_us, max(end_us, start_us + (end_us - canceled_us)))


def _canceled_in(life: Life) -> list[str]:
    return [item for item in life.items if life.moments[-1].statuses[item] == "canceled"]


def _canceled_at(life: Life, item: str) -> int:
    return next(moment.at_us for moment in life.moments if moment.statuses.get(item) == "canceled")


def _order_id(names: random.Random) -> str:
    return str(uuid.UUID(int=names.getrandbits(128), version=4))


def _since(life: Life, start_us: int) -> Life:
    return replace(life, moments=tuple(replace(moment, at_us=moment.at_us - start_us) for moment in life.moments))


def _tellings(seed: str, webhooks: Sequence[Webhook], start_us: int) -> tuple[Telling, ...]:
    rng = random.Random(f"{seed}/fate")
    return tuple(
        Telling(
            webhook,
            Fate(rng.random(), rng.random(), rng.random(), rng.randint(1, _OVERTAKEN_BY_AT_MOST)),
            webhook.made_us - start_us,
        )
        for webhook in webhooks
    )
