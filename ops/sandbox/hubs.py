"""Where things are made: the rules by which an order is split. The first rule whose words begin a product decides."""

from typing import Final, NamedTuple


class Hub(NamedTuple):
    """One production hub, as webhooks and the order API name it."""

    country: str
    state_province: str | None
    facility_id: str

    def facility(self) -> dict[str, str | None]:
        """As `ops.simulator.webhooks.Facility`."""
        return {"Country": self.country, "StateProvince": self.state_province, "FacilityId": self.facility_id}


PAPER: Final = Hub("US", "NY", "1342be08-6169-4163-95be-8ddabfc6e6c5")
GIFTS: Final = Hub("US", "CA", "21315db8-e694-4ded-a72a-98f60814c6e8")
TEXTILES: Final = Hub("DE", None, "940fec84-54bc-44fc-a8a3-7d6f02cf8f14")
FRAMES: Final = Hub("BR", "SP", "5d0c3f7e-0a52-4a9c-9f0b-2f7a64f0c1aa")

RULES: Final[tuple[tuple[str, Hub], ...]] = (
    ("framed", FRAMES),
    ("canvas", FRAMES),
    ("wall_hanging", FRAMES),
    ("apparel", TEXTILES),
    ("tote", TEXTILES),
    ("mug", GIFTS),
    ("phonecase", GIFTS),
    ("puzzle", GIFTS),
    ("", PAPER),  # flat_, cards_, poster_, photobooks_, and whatever else
)
#: An item that a hub cannot make after all goes to the next one.
HUBS: Final = (PAPER, GIFTS, TEXTILES, FRAMES)


def hub_of(product_uid: str) -> Hub:
    """The hub that makes a product (`mug_product_msz_15-oz_...`)."""
    return next(hub for beginning, hub in RULES if product_uid.startswith(beginning))


def other_hub(hub: Hub) -> Hub:
    """Where an item goes that this hub cannot make."""
    return HUBS[(HUBS.index(hub) + 1) % len(HUBS)]
