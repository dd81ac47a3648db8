"""How Gelato writes what it says: statuses, times, references, parcels, places; in all the ways that occur."""

import random
import uuid
from datetime import UTC, datetime, timedelta, timezone

from naive_model.values import EPOCH

from lifelike.orders import SECOND, Connected, Json


class Spelling:
    """Draws from one source of chance."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, **weights: int) -> str:
        """One of the names, by weight."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

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

    def dates(self, now: int) -> Json:
        soon = EPOCH + timedelta(microseconds=now, days=self.rng.randrange(2, 9))
        late = soon + timedelta(days=self.rng.randrange(4))
        suffix = self.rng.choice(["", "", "T00:00:00+00:00"])
        return {"minDeliveryDate": f"{soon:%Y-%m-%d}{suffix}", "maxDeliveryDate": f"{late:%Y-%m-%d}{suffix}"}

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

    def place(self, order: Connected) -> Json:
        """The three facility fields, at times some of them missing."""
        names = ["fulfillmentCountry", "fulfillmentStateProvince", "fulfillmentFacilityId"]
        return {name: value for name, value in zip(names, order.facility, strict=True) if self.chance(0.9)}
