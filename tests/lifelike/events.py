"""What is said of an order: its webhooks and snapshots, with what each kind of them holds."""

import random

from naive_model import Received
from naive_model.statuses import ATTENTION, FINAL

from lifelike.orders import DAY, HOUR, SECOND, Connected, Json, Line
from lifelike.post import Post

WITH_REASON = [*ATTENTION, "canceled"]
COMMENTS = ["out of stock", "Datei beschädigt", 'file "front" is missing', "", "", None, 404]


class Events(Post):
    """Tells of connected orders as they are at some time."""

    def __init__(self, rng: random.Random, reference: str) -> None:
        super().__init__(rng, reference)
        self.hasty = rng.random() < 0.4  # histories in which everything happens at once

    def gap(self) -> int:
        """The time to the next status: often under 1 s or under 30 s, where the interval rule decides."""
        rng = self.rng
        weights = [4, 3, 0, 0] if self.hasty else [3, 2, 2, 2]
        longest = rng.choices([SECOND, 30 * SECOND, HOUR, 2 * DAY], weights)[0]
        return rng.randrange(1, longest)

    def order_status(self, order: Connected, now: int, status: str) -> None:
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

    def item(self, order: Connected, line: Line, now: int) -> Json:
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

    def item_status(self, order: Connected, line: Line, now: int, status: str) -> None:
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

    def tracking(self, order: Connected, line: Line, now: int) -> None:
        for parcel in line.parcels:
            event: Json = {"itemReferenceId": self.maybe_integer(line.reference)} | self.said_of(parcel)
            place = self.place(order)
            if self.chance(0.5):
                place = {name.replace("fulfillment", "production"): value for name, value in place.items()}
            if self.chance(0.08):
                event |= {"trackingCode": None, "trackingUrl": ""}
            self.webhook("trackingCode", order, now, event | place)

    def estimate(self, order: Connected, now: int) -> None:
        event = self.dates(now)
        if self.chance(0.2):
            event.pop(self.rng.choice(list(event)))
        self.webhook("deliveryEstimate", order, now, event)

    def snapshot(self, order: Connected, now: int) -> None:
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

    def snapshot_item(self, line: Line, now: int) -> Json:
        status = self.spelled(line.status_at(max(now, line.statuses[0][0])))
        return {"id": line.item_id, "itemReferenceId": line.reference, "fulfillmentStatus": status}

    def shipment(self, order: Connected, status: str, now: int) -> Json:
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
