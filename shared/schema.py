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


def about(text: str) -> Meta:
    """What a field means: in the JSON Schemas, and in docs/reference/document.md."""
    return Meta(description=text)


class Facility(TypedDict):
    """Where a line is produced."""

    country: Annotated[str | None, about("Two letters, as Gelato sends it.")]
    stateProvince: Annotated[str | None, about("As Gelato sends it.")]
    facilityId: Annotated[str | None, about("Gelato's id of the place.")]


class Fulfillment(TypedDict):
    """One parcel of a line. A parcel without a code is known by its `trackingUrl`."""

    trackingCode: Annotated[str | None, about("The carrier's code.")]
    trackingUrl: NotRequired[Annotated[str, about("Only where there is no code.")]]


class LineDocument(TypedDict):
    """One item of one connected order. `since` and the timeline hold times; `comment` is the current status's."""

    status: Annotated[Status, about("Where this item of this connected order is.")]
    since: Annotated[Time | None, about("When it came to be so; null where no event said.")]
    comment: Annotated[str | None, about("Gelato's reason for the current status.")]
    facility: Annotated[Facility, about("Where it is made.")]
    fulfillments: Annotated[list[Fulfillment], about("The parcels that it is in.")]
    timeline: Annotated[dict[Status, Time], about("Each status that was seen, with its earliest time.")]


class DeliveryEstimate(TypedDict):
    """Dates, `YYYY-MM-DD`."""

    minDeliveryDate: Annotated[Date | None, about("Not before that day.")]
    maxDeliveryDate: Annotated[Date | None, about("Not after that day.")]


class ConnectedDocument(TypedDict):
    """One connected order. `disagrees`: Gelato reported it final, but its lines say otherwise."""

    status: Annotated[Status, about("The headline of its lines.")]
    reportedStatus: Annotated[
        Status | None, about("What Gelato said of the connected order itself; null: nothing yet.")
    ]
    disagrees: Annotated[
        bool, about("It was reported final, and its lines say otherwise: worth a look at Gelato's order API.")
    ]
    storeId: Annotated[str | None, about("The store it came from; null for orders by API or dashboard.")]
    silent: Annotated[bool, about("Named by a sibling, and nothing else was heard of it.")]
    deliveryEstimate: Annotated[DeliveryEstimate | None, about("Its own.")]
    timeline: Annotated[dict[Status, Time], about("Each status that was reported of it, with its earliest time.")]
    items: Annotated[dict[str, LineDocument], about("Its lines, by `itemReferenceId`.")]


class ItemDocument(TypedDict):
    """One item reference over all connected orders."""

    status: Annotated[Status, about("The headline of its lines in all connected orders.")]
    orderIds: Annotated[list[str], about("The connected orders that it is in.")]


class Package(TypedDict):
    """One parcel of one connected order, with the items in it."""

    orderId: Annotated[_Text, about("The connected order that it belongs to.")]
    trackingCode: Annotated[str | None, about("The carrier's code.")]
    trackingUrl: Annotated[str | None, about("Where to follow it.")]
    shipmentMethodName: Annotated[str | None, about("For people.")]
    shipmentMethodUid: Annotated[str | None, about("For machines.")]
    itemReferenceIds: Annotated[list[str], about("What is in it.")]


class Attention(TypedDict):
    """A line, or a connected order (`itemReferenceId` null), for which somebody must act."""

    orderId: Annotated[_Text, about("The connected order.")]
    itemReferenceId: Annotated[str | None, about("The line; null: the connected order itself.")]
    status: Annotated[Status, about("Why: one of those that need somebody.")]
    comment: Annotated[str | None, about("Gelato's reason.")]
    since: Annotated[Time | None, about("Since when.")]


class Document(TypedDict):
    """The rollup of one `orderReferenceId` of one tenant."""

    schema: Annotated[Literal[1], about("Of this shape: another number is another shape.")]
    tenant: Annotated[TenantName, about("Whose order.")]
    orderReferenceId: Annotated[_Text, about("The merchant's own name of the order.")]
    status: Annotated[
        Status, about("The headline: one answer for the whole order. Gelato may add statuses: take any text.")
    ]
    terminal: Annotated[bool, about("Whether it has ended: every line is final, and no connected order is missing.")]
    complete: Annotated[
        bool | None, about("Whether each connected order was heard of; null: nothing has said yet how many there are.")
    ]
    connectedOrderIds: Annotated[list[str], about("Gelato's ids of the parts that it was split into.")]
    counts: Annotated[dict[Status, Annotated[int, Meta(ge=1)]], about("How many lines are in each status.")]
    attention: Annotated[list[Attention], about("For what somebody must act; empty: nothing.")]
    deliveryEstimate: Annotated[
        DeliveryEstimate | None, about("The latest of its connected orders; null: none was given.")
    ]
    items: Annotated[dict[str, ItemDocument], about("Each item over all connected orders, by `itemReferenceId`.")]
    packages: Annotated[list[Package], about("All parcels.")]
    orders: Annotated[dict[str, ConnectedDocument], about("Each connected order, by its id.")]
    version: Annotated[Version, about("Grows with each change, and never falls.")]
    events: Annotated[Count, about("How many different events it is made of, snapshots too.")]
    firstEventAt: Annotated[Time | None, about("When the earliest of them was made.")]
    lastEventAt: Annotated[Time | None, about("When the latest of them was made.")]
    updatedAt: Annotated[Time, about("When this version was written.")]
    closedAt: NotRequired[Annotated[Time, about("Only where an operator closed it, and nothing came since.")]]


class Change(TypedDict):
    """A new version of an order, as the typed reader and server-sent events tell it. `previousStatus` null: a new order."""

    tenant: TenantName
    orderReferenceId: _Text
    version: Version
    status: Status
    previousStatus: Annotated[Status | None, about("Before this version; null: a new order.")]
    terminal: Annotated[bool, about("Whether the order has ended.")]
    at: Annotated[Time, about("When the version was written.")]


class ChangeEntry(TypedDict):
    """A change as the stream `gelato:changes` holds it: text in each field, `previousStatus` empty for a new order."""

    tenant: TenantName
    orderReferenceId: _Text
    version: Annotated[Annotated[str, Meta(pattern=r"^[1-9]\d*$")], about("A number, as text.")]
    status: Status
    previousStatus: Annotated[Annotated[str, Meta(max_length=64)], about("Before this version; empty: a new order.")]
    terminal: Annotated[Literal["true", "false"], about("Whether the order has ended, as text.")]
    at: Annotated[Time, about("When the version was written.")]
