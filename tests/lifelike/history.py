"""The life of one order: its connected orders, the statuses that they go through, and what is told of it when."""

import random
from typing import Any

from naive_model import Received
from naive_model.statuses import FINAL

from lifelike.events import Events
from lifelike.orders import DAY, HOUR, MINUTE, SECOND, Connected, Json, Line

START = 1_790_000_000 * SECOND
USUAL_WAY = [
    "created",
    "uploading",
    "passed",
    "in_production",
    "printed",
    "shipped",
    "in_transit",
    "delivered",
]
OWN_ENDS = ["canceled", "failed", "on_hold", "returned", "delivered"]
UNKNOWN = ["quality_check", "awaiting_carrier", "zebra_striped"]
REFERENCES = ["mug-15-oz", "phone-case", "poster-13x18", "größe M/rot", "1001", "1002", "tote bag"]
FACILITIES = [("US", "NY", "facility-1"), ("DE", "BE", "facility-2"), ("NO", "", "facility-3")]
LINKS = "https://track.example/"


class History(Events):
    """Plays one order and collects what is received of it."""

    def __init__(self, rng: random.Random, reference: str) -> None:
        super().__init__(rng, reference)
        self.parcel_count = 0

    def play(self) -> list[Received]:
        rng = self.rng
        shared = rng.sample(REFERENCES, 3)
        orders = [self.connected(shared) for _ in range(rng.choice([1, 1, 2, 2, 3, 4]))]
        self.siblings = [order.order_id for order in orders]
        # A sibling that never says a word: only `connectedOrderIds` knows of it.
        mute = orders.pop() if len(orders) > 1 and self.chance(0.25) else None
        fate = self.path() if self.chance(0.75) else None
        start = START + rng.randrange(300 * DAY)
        for order in orders:
            self.live(order, fate or self.path(), start + rng.randrange(HOUR))
        if mute and not any(one.event.get("connectedOrderIds") for one in self.received) and self.chance(0.8):
            self.snapshot(orders[0], orders[0].statuses[-1][0] + MINUTE)
        # The sort is stable, so that equal times of receipt keep the order in which they were made up.
        return sorted(self.received, key=lambda one: one.received_us)

    def connected(self, shared: list[str]) -> Connected:
        rng = self.rng
        pool = shared if self.chance(0.5) else REFERENCES
        references = rng.sample(pool, min(len(pool), rng.choice([1, 1, 2, 2, 3, 4, 5])))
        order = Connected(self.uuid(), [Line(reference, self.uuid()) for reference in references])
        order.store_id = rng.choice([None, None, "store-" + self.uuid()[:8]])
        order.facility = rng.choice(FACILITIES)
        self.pack(order)
        return order

    def pack(self, order: Connected) -> None:
        """Lays the items into parcels: several for an item, several items in one."""
        parcels = [self.parcel() for _ in range(self.rng.choice([1, 1, 2, 3]))]
        for line in order.lines:
            line.parcels = self.rng.sample(parcels, min(len(parcels), self.rng.choice([1, 1, 1, 2, 3])))

    def parcel(self) -> Json:
        self.parcel_count += 1
        number = self.rng.choice([self.parcel_count, self.rng.randrange(10**6)])
        code: Any = self.rng.choice([f"code{number}", f"code{number}", f"1Z{number}", 7_000_000 + number])
        if self.chance(0.15):
            code = self.rng.choice([None, ""])
        method = self.rng.choice(["DHL Express", "SmartPost", "UPS Surepost"])
        return {
            "trackingCode": code,
            "trackingUrl": f"{LINKS}{number}",
            "shipmentMethodName": method,
            "shipmentMethodUid": method.lower().replace(" ", "_"),
        }

    def path(self) -> list[str]:
        """The statuses that an order goes through, up to where this history stops."""
        rng = self.rng
        way = list(USUAL_WAY)
        if self.chance(0.3):
            way.remove(rng.choice(["uploading", "in_production", "printed", "shipped", "in_transit"]))
        if self.chance(0.25):
            way[:0] = rng.choice([["draft"], ["draft", "not_connected"], ["not_connected"]])
        if self.chance(0.15):
            way.insert(0, rng.choice(UNKNOWN))
        extras = [["digitizing"], ["on_hold", "passed"], ["pending_approval"], ["pending_personalization"]]
        extras += [[rng.choice(UNKNOWN)], ["failed"], ["failed", "passed"]]
        for extra in rng.sample(extras, rng.choice([0, 0, 1, 1, 2])):
            before = way.index("shipped") if "shipped" in way else len(way) - 1
            place = rng.randrange(1, before + 1)
            way[place:place] = extra
        if self.chance(0.2):
            way += ["returned"]
        if self.chance(0.15):
            way = [*way[: rng.randrange(1, len(way) + 1)], "canceled"]
        if self.chance(0.5):
            way = way[: rng.randrange(1, len(way) + 1)]
        return way

    def live(self, order: Connected, path: list[str], start: int) -> None:
        rng = self.rng
        now = start
        if self.chance(0.2):  # before anything else is heard of the order
            self.estimate(order, now - rng.randrange(HOUR))
        if self.chance(0.2):
            self.tracking(order, rng.choice(order.lines), now - rng.randrange(HOUR))
        # In the end this line goes its own way.
        loner = rng.choice(order.lines) if self.chance(0.25) else None
        for place, status in enumerate(path):
            now += self.gap()
            order.statuses.append((now, status))
            last = place == len(path) - 1
            for line in order.lines:
                self.advance(order, line, now, status, line is loner and place > len(path) // 2)
            if self.chance(0.9 if last else 0.65):
                self.order_status(order, now + self.jitter(), status)
            if status in ("shipped", "in_transit", "delivered"):
                for line in order.lines:
                    if self.chance(0.4):
                        self.tracking(order, line, now + self.jitter())
            if self.chance(0.12):
                self.estimate(order, now + self.jitter())
            if self.chance(0.12):
                self.snapshot(order, now + self.jitter())
            if status == "delivered" and self.chance(0.4):
                line = rng.choice(order.lines)
                self.item_status(order, line, now + rng.randrange(DAY), "in_transit")
            if self.chance(0.05):
                order.store_id = rng.choice([None, "store-changed", "", 77])
            if self.chance(0.05):
                order.facility = rng.choice([("SE", "AB", "facility-4"), ("", "", "facility-5")])
        if self.chance(0.25):
            self.snapshot(order, now + rng.randrange(HOUR))
        if self.chance(0.06):  # an item of which no status is ever heard
            self.tracking(order, Line("gift-wrap", self.uuid(), parcels=[self.parcel()]), now + self.jitter())
        heard = {one.event.get(name) for one in self.received for name in ("orderId", "id")}
        if order.order_id not in heard:
            self.order_status(order, now, path[-1])

    def jitter(self) -> int:
        return self.rng.choice([0, 0, self.rng.randrange(SECOND), self.rng.randrange(-SECOND, 30 * SECOND)])

    def advance(self, order: Connected, line: Line, now: int, status: str, alone: bool) -> None:
        """Takes a line to the status of its order, or lets it lag behind, or lets it go its own way."""
        rng = self.rng
        first = not line.statuses
        if alone and line.statuses[-1][1] in FINAL:
            return
        if alone:
            status = rng.choice([*OWN_ENDS, line.statuses[-1][1]])
        # Items get their status after the order does, now and then never.
        lag = rng.choice([0, 0, 0, rng.randrange(SECOND), rng.randrange(MINUTE), rng.randrange(DAY)])
        if first:
            lag = 0
        if not first and self.chance(0.08):
            return
        line.statuses.append((now + lag, status))
        line.statuses.sort(key=lambda entry: entry[0])
        if self.chance(0.55):
            self.item_status(order, line, now + lag, status)
