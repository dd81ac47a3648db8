"""Random but lifelike histories of one order: what Gelato might send of it, and all that goes wrong.

Every event is usable (`shared.events`). All times are integer microseconds since the epoch, UTC.
"""

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from naive_model import ATTENTION, EPOCH, FINAL, Received, clock

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 1_790_000_000 * SECOND

NAMES = {  # kind: older generation (field, name), newer generation (field, name)
    "orderStatus": (("object", "orderStatus"), ("event", "order_status_updated")),
    "itemStatus": (("object", "itemStatus"), ("event", "order_item_status_updated")),
    "trackingCode": (("object", "trackingCode"), ("event", "order_item_tracking_code_updated")),
    "deliveryEstimate": (("event", "order_delivery_estimate_updated"),) * 2,
}
PREFIX = {"orderStatus": "os", "itemStatus": "is", "trackingCode": "tc", "deliveryEstimate": "os"}
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
WITH_REASON = [*ATTENTION, "canceled"]
BROKEN_TIMES = ["yesterday", "2026-13-45T00:00:00Z", "", 1_790_000_000, "2026-11-22T25:00"]
COMMENTS = ["out of stock", "Datei beschädigt", 'file "front" is missing', "", "", None, 404]
REFERENCES = ["mug-15-oz", "phone-case", "poster-13x18", "größe M/rot", "1001", "1002", "tote bag"]
FACILITIES = [("US", "NY", "facility-1"), ("DE", "BE", "facility-2"), ("NO", "", "facility-3")]
LINKS = "https://track.example/"

Json = dict[str, Any]


@dataclass
class _Line:
    """One item of a connected order: what has become of it, and its parcels."""

    reference: str
    item_id: str
    statuses: list[tuple[int, str]] = field(default_factory=list)  # (true time, status), in true order
    parcels: list[Json] = field(default_factory=list)

    def status_at(self, now: int) -> str:
        """The last status by then."""
        return [status for time, status in self.statuses if time <= now][-1]


@dataclass
class _Connected:
    """One connected order."""

    order_id: str
    lines: list[_Line]
    statuses: list[tuple[int, str]] = field(default_factory=list)
    store_id: str | int | None = None
    facility: tuple[str, str, str] = ("US", "NY", "facility-1")


def lifelike_order(rng: random.Random, reference: str = "83831IAKD2") -> list[Received]:
    """A random history of one order, in order of receipt; never empty."""
    return _History(rng, reference).play()


class _History:
    """Plays one order and collects what is received of it."""

    def __init__(self, rng: random.Random, reference: str) -> None:
        self.rng = rng
        self.reference = reference
        self.received: list[Received] = []
        self.used_ids: list[str | int] = []
        self.times_without_id: set[tuple[str, tuple[int, int, int]]] = set()
        self.newer = rng.random() < 0.6
        self.hasty = rng.random() < 0.4  # histories in which everything happens at once
        self.parcel_count = 0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, **weights: int) -> str:
        """One of the names, by weight."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

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

    # --- the order and its life -------------------------------------------------------------------

    def connected(self, shared: list[str]) -> _Connected:
        rng = self.rng
        pool = shared if self.chance(0.5) else REFERENCES
        references = rng.sample(pool, min(len(pool), rng.choice([1, 1, 2, 2, 3, 4, 5])))
        order = _Connected(self.uuid(), [_Line(reference, self.uuid()) for reference in references])
        order.store_id = rng.choice([None, None, "store-" + self.uuid()[:8]])
        order.facility = rng.choice(FACILITIES)
        self.pack(order)
        return order

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def pack(self, order: _Connected) -> None:
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

    def gap(self) -> int:
        """The time to the next status: often under 1 s or under 30 s, where the interval rule decides."""
        rng = self.rng
        weights = [4, 3, 0, 0] if self.hasty else [3, 2, 2, 2]
        longest = rng.choices([SECOND, 30 * SECOND, HOUR, 2 * DAY], weights)[0]
        return rng.randrange(1, longest)

    def live(self, order: _Connected, path: list[str], start: int) -> None:
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
            self.tracking(order, _Line("gift-wrap", self.uuid(), parcels=[self.parcel()]), now + self.jitter())
        heard = {one.event.get(name) for one in self.received for name in ("orderId", "id")}
        if order.order_id not in heard:
            self.order_status(order, now, path[-1])

    def jitter(self) -> int:
        return self.rng.choice([0, 0, self.rng.randrange(SECOND), self.rng.randrange(-SECOND, 30 * SECOND)])

    def advance(self, order: _Connected, line: _Line, now: int, status: str, alone: bool) -> None:
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

    # --- events -----------------------------------------------------------------------------------

    def order_status(self, order: _Connected, now: int, status: str) -> None:
        rng = self.rng
        event: Json = {"fulfillmentStatus": self.spelled(status)}
        if status in FINAL and self.chance(0.45):
            form = rng.choice(["absent", "null", "empty"])
            if form != "absent":
                event["items"] = None if form == "null" else []
        elif self.chance(0.04):
            event["items"] = []
        else:
            lines = order.lines
            if self.chance(0.1):  # not all of them
                lines = rng.sample(lines, rng.randrange(1, len(lines) + 1))
            event["items"] = [self.item(order, line, now) for line in lines]
            if self.chance(0.08):  # the same reference twice, with another status
                again = self.item(order, rng.choice(lines), now)
                again["fulfillmentStatus"] = rng.choice(["canceled", "passed", "shipped", status])
                event["items"].append(again)
        if status in WITH_REASON or self.chance(0.3):
            event["comment"] = rng.choice(COMMENTS)
        self.webhook("orderStatus", order, now, event, clockless=True)
        if status in WITH_REASON and self.chance(0.15):
            again = event | {"comment": "changed: ask us"}
            self.webhook("orderStatus", order, now + self.gap(), again, clockless=True)

    def item(self, order: _Connected, line: _Line, now: int) -> Json:
        """An entry of an orderStatus: what Gelato knows of the item, at times not the latest."""
        status = line.status_at(max(now, line.statuses[0][0]))
        if len(line.statuses) > 1 and self.chance(0.1):
            status = line.statuses[-2][1]
        entry: Json = {
            "itemReferenceId": self.maybe_integer(line.reference),
            "fulfillmentStatus": self.spelled(status),
        }
        if status in ("shipped", "in_transit", "delivered", "returned") or self.chance(0.05):
            said = [self.said_of(parcel) | self.place(order) for parcel in line.parcels if self.chance(0.8)]
            if self.chance(0.05):
                said.append({"trackingCode": "", "trackingUrl": None} | self.place(order))
            entry["fulfillments"] = said
        elif self.chance(0.7):
            entry["fulfillments"] = self.rng.choice([[], [], None])
        return entry

    def item_status(self, order: _Connected, line: _Line, now: int, status: str) -> None:
        rng = self.rng
        event: Json = {
            "itemReferenceId": self.maybe_integer(line.reference),
            "status": self.spelled(status),
            "comment": "",
        } | self.place(order)
        if status in WITH_REASON:
            event["comment"] = rng.choice(COMMENTS)
        self.webhook("itemStatus", order, now, event)
        if status in WITH_REASON and self.chance(0.4):  # the same status again, with another or no comment
            again = event | {"comment": rng.choice([*COMMENTS, "changed: call us"])}
            self.webhook("itemStatus", order, now + self.gap(), again)

    def tracking(self, order: _Connected, line: _Line, now: int) -> None:
        for parcel in line.parcels:
            event: Json = {"itemReferenceId": self.maybe_integer(line.reference)} | self.said_of(parcel)
            place = self.place(order)
            if self.chance(0.5):
                place = {name.replace("fulfillment", "production"): value for name, value in place.items()}
            if self.chance(0.08):
                event |= {"trackingCode": None, "trackingUrl": ""}
            self.webhook("trackingCode", order, now, event | place)

    def estimate(self, order: _Connected, now: int) -> None:
        event = self.dates(now)
        if self.chance(0.2):
            event.pop(self.rng.choice(list(event)))
        self.webhook("deliveryEstimate", order, now, event)

    def dates(self, now: int) -> Json:
        soon = EPOCH + timedelta(microseconds=now, days=self.rng.randrange(2, 9))
        late = soon + timedelta(days=self.rng.randrange(4))
        suffix = self.rng.choice(["", "", "T00:00:00+00:00"])
        return {"minDeliveryDate": f"{soon:%Y-%m-%d}{suffix}", "maxDeliveryDate": f"{late:%Y-%m-%d}{suffix}"}

    def snapshot(self, order: _Connected, now: int) -> None:
        """A response of the order API, posted or fetched, perhaps several times the same."""
        rng = self.rng
        now = max(now, order.statuses[0][0])
        changed, status = [entry for entry in order.statuses if entry[0] <= now][-1]
        # No field that the service would not keep: two snapshots must not differ in such a field only.
        event: Json = {
            "id": order.order_id,
            "orderReferenceId": self.reference,
            "fulfillmentStatus": self.spelled(status),
            "storeId": order.store_id or None,
        }
        if self.chance(0.85):
            event["updatedAt"] = self.moment(changed) if self.chance(0.96) else "just now"
        if self.chance(0.6):
            event["createdAt"] = self.moment(order.statuses[0][0])
        one_or_all = "empty" if len(self.siblings) == 1 else "all"
        names = rng.choice(["all", "all", one_or_all, "absent", "absent", "odd"])
        if names == "all":
            event["connectedOrderIds"] = list(self.siblings)
        elif names == "empty" or (names == "odd" and self.chance(0.3)):
            event["connectedOrderIds"] = []
        elif names == "odd":  # a sibling of which nothing else will ever be heard
            event["connectedOrderIds"] = [order.order_id, self.uuid()]
        if self.chance(0.7):
            event["items"] = [self.snapshot_item(line, now) for line in order.lines]
            event["shipment"] = self.shipment(order, status, now)
            if self.chance(0.06):
                event["items"] = []
        fetched = self.chance(0.4)
        source = "fetched" if fetched else "snapshot"
        receipt = now + (rng.randrange(3 * SECOND) if fetched else self.delay())
        self.received.append(Received(event, receipt, source))
        while self.chance(0.3):
            receipt += rng.choice([rng.randrange(10 * SECOND), rng.randrange(DAY)])
            source = rng.choice([source, source, "snapshot", "fetched"])
            self.received.append(Received(event, receipt, source))

    def snapshot_item(self, line: _Line, now: int) -> Json:
        status = self.spelled(line.status_at(max(now, line.statuses[0][0])))
        return {"id": line.item_id, "itemReferenceId": line.reference, "fulfillmentStatus": status}

    def shipment(self, order: _Connected, status: str, now: int) -> Json:
        shipment: Json = {"shipmentMethodName": "Snapshot Post", "shipmentMethodUid": "snapshot_post"}
        shipment |= self.dates(now)
        if status in ("shipped", "in_transit", "delivered", "returned"):
            united: dict[int, Json] = {}
            for line in order.lines:
                for parcel in line.parcels:
                    package = united.setdefault(id(parcel), {"orderItemIds": []})
                    package |= {name: parcel[name] for name in ("trackingCode", "trackingUrl")}
                    package["orderItemIds"].append(line.item_id)
            shipment["packages"] = list(united.values())
            if self.chance(0.1):
                shipment["packages"].append({"trackingCode": "nobodys", "orderItemIds": ["no-such-item"]})
        return shipment

    # --- what all webhooks share ------------------------------------------------------------------

    def webhook(self, kind: str, order: _Connected, now: int, fields: Json, clockless: bool = False) -> None:
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

    def moment(self, us: int) -> str:
        """A time as ISO 8601, mostly with whole seconds, in one of the ways that occur."""
        rng = self.rng
        whole = EPOCH + timedelta(seconds=us // SECOND)
        form = self.pick(utc=50, z=15, naive=10, offset=15, millis=5, micros=5)
        if form == "z":
            return whole.strftime("%Y-%m-%dT%H:%M:%SZ")
        if form == "naive":
            return whole.strftime("%Y-%m-%dT%H:%M:%S")
        if form == "offset":
            return whole.astimezone(timezone(timedelta(minutes=rng.choice([60, 120, -300, 330])))).isoformat()
        if form in ("millis", "micros"):
            exact = datetime.fromtimestamp(us // SECOND, UTC).replace(microsecond=us % SECOND)
            return exact.isoformat(timespec="milliseconds" if form == "millis" else "microseconds")
        return whole.isoformat()

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

    def spelled(self, status: str) -> str:
        """The status, at times spelt oddly."""
        if self.chance(0.85):
            return status
        odd = ["cancelled", "Cancelled"] if status == "canceled" else [status.replace("_", " ").title()]
        return self.rng.choice([*odd, f" {status.replace('_', '-')} ", status.upper()])

    def maybe_integer(self, reference: str) -> str | int:
        """Some merchants send numbers."""
        number = reference.isascii() and reference.isdigit() and str(int(reference)) == reference
        return int(reference) if number and self.chance(0.5) else reference

    def said_of(self, parcel: Json) -> Json:
        """What an event says of a parcel: all, a part of it, or something that was different before."""
        said = dict(parcel)
        for name in ("trackingUrl", "shipmentMethodName", "shipmentMethodUid"):
            if name == "trackingUrl" and not parcel["trackingCode"]:
                continue
            if self.chance(0.15):
                said[name] = self.rng.choice([None, ""])
            elif self.chance(0.08):
                said[name] = f"{said[name]}?changed={self.rng.randrange(3)}"
            elif self.chance(0.05):
                del said[name]
        return said

    def place(self, order: _Connected) -> Json:
        """The three facility fields, at times some of them missing."""
        names = ["fulfillmentCountry", "fulfillmentStateProvince", "fulfillmentFacilityId"]
        return {name: value for name, value in zip(names, order.facility, strict=True) if self.chance(0.9)}
