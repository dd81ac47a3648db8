"""What all webhooks share: ids, times, the way to their receiver, where they come late or more than once."""

import random
from datetime import timedelta

from naive_model import Received, clock
from naive_model.values import EPOCH

from lifelike.orders import DAY, HOUR, MINUTE, SECOND, Connected, Json
from lifelike.spelling import Spelling

NAMES = {  # kind: older generation (field, name), newer generation (field, name)
    "orderStatus": (("object", "orderStatus"), ("event", "order_status_updated")),
    "itemStatus": (("object", "itemStatus"), ("event", "order_item_status_updated")),
    "trackingCode": (("object", "trackingCode"), ("event", "order_item_tracking_code_updated")),
    "deliveryEstimate": (("event", "order_delivery_estimate_updated"),) * 2,
}
PREFIX = {"orderStatus": "os", "itemStatus": "is", "trackingCode": "tc", "deliveryEstimate": "os"}
BROKEN_TIMES = ["yesterday", "2026-13-45T00:00:00Z", "", 1_790_000_000, "2026-11-22T25:00"]


class Post(Spelling):
    """Sends webhooks about the orders of one reference, and collects what is received."""

    def __init__(self, rng: random.Random, reference: str) -> None:
        super().__init__(rng)
        self.reference = reference
        self.siblings: list[str] = []
        self.received: list[Received] = []
        self.used_ids: list[str | int] = []
        self.times_without_id: set[tuple[str, tuple[int, int, int]]] = set()
        self.newer = rng.random() < 0.6

    def webhook(self, kind: str, order: Connected, now: int, fields: Json, clockless: bool = False) -> None:
        """Sends one event that was made at `now`, perhaps late, perhaps more than once."""
        rng = self.rng
        receipt = now + self.delay()
        name, value = NAMES[kind][self.newer if self.chance(0.9) else not self.newer]
        event: Json = {
            name: value,
            "orderId": order.order_id,
            "orderReferenceId": self.maybe_integer(self.reference),
            "storeId": order.store_id,
        } | fields
        if not clockless or self.chance(0.04):
            event |= self.created(now, receipt)
        event |= self.identifier(kind, now, clock(Received(event, receipt, "webhook")))
        if self.chance(0.03):
            event["connectedOrderIds"] = list(self.siblings)
        self.received.append(Received(event, receipt, "webhook"))
        while self.chance(0.12):  # at least once; another order of keys is no other event
            again = dict(rng.sample(list(event.items()), len(event)))
            later = receipt + rng.choice([5 * SECOND, 10 * SECOND, rng.randrange(-MINUTE, HOUR)])
            self.received.append(Received(again, later, "webhook"))

    def identifier(self, kind: str, now: int, times: tuple[int, int, int]) -> Json:
        """An `id`: with a clock, without, an integer, none at all, or one that another event has already."""
        rng = self.rng
        form = self.pick(uniqid=50, digits=22, integer=8, absent=5, null=2, shared=13)
        if form == "shared" and self.used_ids:
            return {"id": rng.choice(self.used_ids)}
        if form in ("absent", "null") and (kind, times) not in self.times_without_id:
            # The contract leaves the hash in such an identity open, and between two of them with the same
            # clock it would decide who wrote last: so there are never two.
            self.times_without_id.add((kind, times))
            return {} if form == "absent" else {"id": None}
        made: str | int = f"{PREFIX[kind]}_{now // SECOND:08x}{now % SECOND:05x}"
        if form == "digits":
            made = f"os_{rng.randrange(3_000_000_000, 4_000_000_000)}"
        elif form == "integer":
            made = rng.randrange(1, 10**9)
        self.used_ids.append(made)
        return {"id": made}

    def created(self, now: int, receipt: int) -> Json:
        rng = self.rng
        form = self.pick(good=80, missing=5, null=2, broken=4, future=4, edge=5)
        if form == "good":
            return {"created": self.moment(now)}
        if form == "null":
            return {"created": None}
        if form == "broken":
            return {"created": rng.choice(BROKEN_TIMES)}
        if form == "future":
            return {"created": self.moment(receipt + rng.choice([301 * SECOND, DAY, 900 * DAY]))}
        if form == "edge":  # 300 s after receipt still counts, one microsecond more does not
            edge = EPOCH + timedelta(microseconds=receipt + 300 * SECOND + rng.choice([0, 1]))
            return {"created": edge.isoformat()}
        return {}

    def delay(self) -> int:
        """From made to received: mostly quick, at times retried, late, or by clocks that disagree."""
        rng = self.rng
        form = self.pick(quick=60, retried=14, minutes=12, hours=8, days=2, before=4)
        if form == "retried":
            return rng.choice([5, 10]) * SECOND + rng.randrange(2 * SECOND)
        if form == "before":
            return -rng.choice([rng.randrange(MINUTE), 300 * SECOND, 300 * SECOND + 1, HOUR])
        if form == "days":
            return rng.choice([rng.randrange(DAY), 7 * DAY, 7 * DAY + 1, 9 * DAY])
        return rng.randrange({"quick": 2 * SECOND, "minutes": 20 * MINUTE, "hours": 8 * HOUR}[form])
