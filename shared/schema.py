"""The shapes that others read: the rollup document and the change entry. See README.md.

Times are ISO 8601 UTC ending in `Z`, whole seconds. Lists are sorted; maps have their keys as shown.
"""

from typing import Final, NotRequired, TypedDict

SCHEMA: Final = 1


class Facility(TypedDict):
    """Where a line is produced."""

    country: str | None
    stateProvince: str | None
    facilityId: str | None


class Fulfillment(TypedDict):
    """One parcel of a line. A parcel without a code is known by its `trackingUrl`."""

    trackingCode: str | None
    trackingUrl: NotRequired[str]


class LineDocument(TypedDict):
    """One item of one connected order. `since` and the timeline hold times; `comment` is the current status's."""

    status: str
    since: str | None
    comment: str | None
    facility: Facility
    fulfillments: list[Fulfillment]
    timeline: dict[str, str]


class DeliveryEstimate(TypedDict):
    """Dates, `YYYY-MM-DD`."""

    minDeliveryDate: str | None
    maxDeliveryDate: str | None


class ConnectedDocument(TypedDict):
    """One connected order. `disagrees`: Gelato reported it final, but its lines say otherwise."""

    status: str
    reportedStatus: str | None
    disagrees: bool
    storeId: str | None
    silent: bool
    deliveryEstimate: DeliveryEstimate | None
    timeline: dict[str, str]
    items: dict[str, LineDocument]


class ItemDocument(TypedDict):
    """One item reference over all connected orders."""

    status: str
    orderIds: list[str]


class Package(TypedDict):
    """One parcel of one connected order, with the items in it."""

    orderId: str
    trackingCode: str | None
    trackingUrl: str | None
    shipmentMethodName: str | None
    shipmentMethodUid: str | None
    itemReferenceIds: list[str]


class Attention(TypedDict):
    """A line, or a connected order (`itemReferenceId` null), for which somebody must act."""

    orderId: str
    itemReferenceId: str | None
    status: str
    comment: str | None
    since: str | None


class Document(TypedDict):
    """The rollup of one `orderReferenceId` of one tenant."""

    schema: int
    tenant: str
    orderReferenceId: str
    status: str
    terminal: bool
    complete: bool | None
    connectedOrderIds: list[str]
    counts: dict[str, int]
    attention: list[Attention]
    deliveryEstimate: DeliveryEstimate | None
    items: dict[str, ItemDocument]
    packages: list[Package]
    orders: dict[str, ConnectedDocument]
    version: int
    events: int
    firstEventAt: str | None
    lastEventAt: str | None
    updatedAt: str
    #: Only on an order that an operator closed and that has been quiet since.
    closedAt: NotRequired[str]


class Change(TypedDict):
    """One entry of the stream `gelato:changes`, as read by `gelato_rollup`."""

    tenant: str
    orderReferenceId: str
    version: int
    status: str
    previousStatus: str | None
    terminal: bool
    at: str
