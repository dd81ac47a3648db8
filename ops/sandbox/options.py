"""What a sandbox is told: whose Gelato it is, and how it plays."""

from dataclasses import dataclass, field
from typing import Literal

from ops.simulator.courier import Target
from shared.errors import ConfigurationError

Via = Literal["v4", "connector"]
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Customer:
    """One customer of Gelato's, which is one tenant here.

    `via` says which API its orders come by, `key` is that API's `X-API-KEY`. `reference`: its `Customer-Reference-ID` at
    the connector; with the order API v4, where several customers may share a key, the `customerReferenceId` of its orders.
    `target`: where its webhooks go; None: nowhere.
    """

    tenant: str
    via: Via
    key: str = field(repr=False)
    reference: str | None = None
    target: Target | None = None


@dataclass(frozen=True)
class Options:
    """How to play.

    `speed`: story seconds per second; an order's life is about `life_seconds` of the story. `lose`, `duplicate`,
    `reorder`: the chance of each webhook to be never posted, posted twice, overtaken by later ones. `trouble`: the chance
    of an order to go wrong in some way. `retry_seconds`: between the three tries, in our seconds. `rate_limit`: API calls
    per second and key, beyond which there is 429; 0: none. `leaky`: the connector's Get Order answers for every customer's
    order, whatever customer the call is for. `short_submit`: the connector's Submit Order answers with id, reference and
    date alone. Raises ConfigurationError for what cannot be played.
    """

    customers: tuple[Customer, ...]
    seed: int = 1
    speed: float = 14_400.0
    life_seconds: float = 4.0 * DAY_SECONDS
    lose: float = 0.0
    duplicate: float = 0.1
    reorder: float = 0.1
    trouble: float = 0.15
    retry_seconds: float = 5.0
    rate_limit: float = 100.0
    concurrency: int = 32
    leaky: bool = False
    short_submit: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= chance <= 1 for chance in (self.lose, self.duplicate, self.reorder, self.trouble)):
            raise ConfigurationError("lose, duplicate, reorder and trouble are chances: from 0 to 1")
        if not 0 < self.speed <= 1e9 or self.concurrency < 1 or self.life_seconds < 3600:
            raise ConfigurationError("speed and concurrency must be above 0, and a life at least an hour of the story")
        if min(self.retry_seconds, self.rate_limit) < 0:
            raise ConfigurationError("retry_seconds and rate_limit cannot be negative")
        if not self.customers:
            raise ConfigurationError("the sandbox needs at least one customer")
        seen: set[tuple[str, str, str | None]] = set()
        for customer in self.customers:
            if customer.via == "connector" and not customer.reference:
                raise ConfigurationError(
                    f"tenant {customer.tenant!r}: a connector's customer needs a customer_reference"
                )
            place = (customer.via, customer.key, customer.reference)
            if place in seen:
                raise ConfigurationError(
                    f"tenant {customer.tenant!r} has the key and the customer_reference of another one"
                )
            seen.add(place)
