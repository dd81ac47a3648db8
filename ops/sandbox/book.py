"""The orders that the sandbox's Gelato has taken, as they stand now."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ops.sandbox.hubs import Hub
from ops.sandbox.options import Customer
from ops.sandbox.story import Story
from ops.simulator.dating import Dating
from ops.simulator.lifecycle import Life, Moment
from ops.simulator.truth import OrderTruth, View, state_view


@dataclass
class Connected:
    """One connected order. `place`: which of its moments is now; -1: it does not exist yet. Times: microseconds, 1970."""

    order: "Order"
    hub: Hub
    life: Life
    dating: Dating
    place: int = -1
    created_us: int = 0
    updated_us: int = 0
    #: Webhooks that are still to be made or posted.
    unsent: int = 0
    #: Counts the turns its life took; what was planned before the last turn is void.
    turn: int = 0

    @property
    def id(self) -> str:
        """Gelato's order id."""
        return self.life.order_id

    @property
    def exists(self) -> bool:
        """Whether it has begun."""
        return self.place >= 0

    @property
    def moment(self) -> Moment:
        """What is true of it now."""
        return self.life.moments[max(self.place, 0)]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it or be said of it."""
        return self.place == len(self.life.moments) - 1 and not self.unsent

    def lived(self) -> Life:
        """Its life until now."""
        return replace(self.life, moments=self.life.moments[: self.place + 1])


@dataclass
class Order:
    """One submission. `number` tells submissions of one customer's reference apart, from 0."""

    customer: Customer
    reference: str | int
    number: int
    body: dict[str, Any] = field(repr=False)
    story: Story = field(repr=False)
    created_us: int
    story_start_us: int
    parts: list[Connected] = field(default_factory=list, repr=False)

    def existing(self) -> list[Connected]:
        """Its connected orders so far."""
        return [part for part in self.parts if part.exists]

    def connected_ids(self) -> list[str]:
        """As the order API says it: all siblings, or none where there is no split."""
        ids = [part.id for part in self.existing()]
        return ids if len(ids) > 1 else []


class Book:
    """All orders, in memory, for as long as the sandbox runs."""

    def __init__(self) -> None:
        self._parts: dict[str, Connected] = {}
        self._by_reference: dict[tuple[str, str], list[Order]] = {}
        self.orders: list[Order] = []

    def add(self, order: Order) -> None:
        """Take an order in, with the parts that it has."""
        self.orders.append(order)
        self._by_reference.setdefault((order.customer.tenant, str(order.reference)), []).append(order)
        for part in order.parts:
            self._parts[part.id] = part

    def part(self, order_id: str) -> Connected | None:
        """The connected order of this id, if it exists by now."""
        part = self._parts.get(order_id)
        return part if part is not None and part.exists else None

    def of_reference(self, tenant: str, reference: str) -> list[Order]:
        """The submissions of one tenant's reference, oldest first."""
        return self._by_reference.get((tenant, reference), [])

    def newest_first(self) -> Iterator[Connected]:
        """All existing connected orders."""
        for order in reversed(self.orders):
            yield from reversed(order.existing())

    def truths(self, tenant: str | None = None, reference: str | None = None) -> list[View]:
        """What the rollups must show: `ops.simulator.truth.state_view`, and `tenant`, `ended`, `troubles`."""
        return [
            _truth(orders)
            for (of_tenant, of_reference), orders in self._by_reference.items()
            if tenant in (None, of_tenant) and reference in (None, of_reference)
        ]


def _truth(orders: list[Order]) -> View:
    parts = [part for order in orders for part in order.parts]
    lives = [part.lived().truth() for part in parts if part.exists]
    return {
        **state_view(OrderTruth(str(orders[0].reference), tuple(lives), events=0)),
        "tenant": orders[0].customer.tenant,
        "ended": all(part.ended for part in parts),
        "troubles": [order.story.trouble for order in orders if order.story.trouble],
    }
