"""The shapes that others read: the rollup document and the change entry. See README.md and docs/reference/openapi.md.

The JSON Schemas that are published (`shared.json_schemas`) and the OpenAPI description are made from these types, from
their docstrings too. Times are ISO 8601 UTC ending in `Z`, whole seconds. Lists are sorted; maps have their keys as shown.
"""

from typing import Annotated, Final, Literal, NotRequired, TypedDict

from msgspec import Meta

#: Grows when a field goes, or means something else. A new field is no new schema: readers ignore what they do not know.
SCHEMA: Final = 1

_TIME: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
Time = Annotated[str, Meta(pattern=_TIME, description="ISO 8601, UTC, whole seconds.")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="A day, `YYYY-MM-DD`.")]
Status = Annotated[str, Meta(min_length=1, max_length=64, description="Gelato may add statuses: take any text.")]
TenantName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Version = Annotated[int, Meta(ge=1, description="Grows with each change, and never falls.")]
Count = Annotated[int, Meta(ge=0)]
_Text = Annotated[str, Meta(min_length=1)]


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

    status: Status
    since: Time | None
    comment: str | None
    facility: Facility
    fulfillments: list[Fulfillment]
    timeline: dict[Status, Time]


class DeliveryEstimate(TypedDict):
    """Dates, `YYYY-MM-DD`."""

    minDeliveryDate: Date | None
    maxDeliveryDate: Date | None


class ConnectedDocument(TypedDict):
    """One connected order. `disagrees`: Gelato reported it final, but its lines say otherwise."""

    status: Status
    reportedStatus: Status | None
    disagrees: bool
    storeId: str | None
    silent: bool
    deliveryEstimate: DeliveryEstimate | None
    timeline: dict[Status, Time]
    items: dict[str, LineDocument]


class ItemDocument(TypedDict):
    """One item reference over all connected orders."""

    status: Status
    orderIds: list[str]


class Package(TypedDict):
    """One parcel of one connected order, with the items in it."""

    orderId: _Text
    trackingCode: str | None
    trackingUrl: str | None
    shipmentMethodName: str | None
    shipmentMethodUid: str | None
    itemReferenceIds: list[str]


class Attention(TypedDict):
    """A line, or a connected order (`itemReferenceId` null), for which somebody must act."""

    orderId: _Text
    itemReferenceId: str | None
    status: Status
    comment: str | None
    since: Time | None


class Document(TypedDict):
    """The rollup of one `orderReferenceId` of one tenant."""

    schema: Literal[1]
    tenant: TenantName
    orderReferenceId: _Text
    status: Status
    terminal: bool
    complete: bool | None
    connectedOrderIds: list[str]
    counts: dict[Status, Annotated[int, Meta(ge=1)]]
    attention: list[Attention]
    deliveryEstimate: DeliveryEstimate | None
    items: dict[str, ItemDocument]
    packages: list[Package]
    orders: dict[str, ConnectedDocument]
    version: Version
    events: Count
    firstEventAt: Time | None
    lastEventAt: Time | None
    updatedAt: Time
    #: Only on an order that an operator closed and that has been quiet since.
    closedAt: NotRequired[Time]


class Change(TypedDict):
    """A new version of an order, as the typed reader and server-sent events tell it. `previousStatus` null: a new order."""

    tenant: TenantName
    orderReferenceId: _Text
    version: Version
    status: Status
    previousStatus: Status | None
    terminal: bool
    at: Time


class ChangeEntry(TypedDict):
    """A change as the stream `gelato:changes` holds it: text in each field, `previousStatus` empty for a new order."""

    tenant: TenantName
    orderReferenceId: _Text
    version: Annotated[str, Meta(pattern=r"^[1-9]\d*$")]
    status: Status
    previousStatus: Annotated[str, Meta(max_length=64)]
    terminal: Literal["true", "false"]
    at: Time
