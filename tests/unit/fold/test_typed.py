"""The short way and the careful way of reading a stored event say the same."""

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lifelike import lifelike_order

from shared import facts, typed
from shared.canonical import parse
from shared.errors import GelatoRollupError

NOW = 1_790_000_000_000_000
FIELDS = [
    *("event", "object", "id", "orderId", "orderReferenceId", "storeId", "created", "comment", "status"),
    *("fulfillmentStatus", "itemReferenceId", "trackingCode", "trackingUrl", "shipmentMethodName", "shipmentMethodUid"),
    *("fulfillmentCountry", "fulfillmentStateProvince", "fulfillmentFacilityId", "minDeliveryDate", "maxDeliveryDate"),
    *("productionCountry", "productionStateProvince", "productionFacilityId"),
]
NAMES = st.sampled_from(
    [
        {"object": "orderStatus"},
        {"event": "order_status_updated"},
        {"object": "itemStatus", "event": None},
        {"event": "order_item_status_updated", "object": "orderStatus"},
        {"event": "order_item_tracking_code_updated"},
        {"event": "order_delivery_estimate_updated"},
        {"event": "", "object": "itemStatus"},
        {"event": "store_product_created"},
        {"event": "new_in_2030"},
    ]
)
TEXTS = st.sampled_from(
    [
        *("", "A", "passed", "Shipped ", "on-hold", "delivered", "cancelled", "x" * 65, "y" * 256, "z" * 3000),
        *("{{MyOrderId}}", "a6a1f9ce-2bdd-4a9e-9f8d-0009df0e24d9", "os_5b6403bd3cf1f"),
        *("2026-11-22T10:00:00Z", "2026-11-22", "not a date"),
    ]
)
ODD = st.sampled_from([None, 0, 12, -1, 10**25, 1.5, True, [], {}, ["A"], {"a": 1}])
VALUES = TEXTS | TEXTS | TEXTS | ODD
ENTRIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)
ITEMS = st.builds(
    lambda known, more: known | more,
    st.fixed_dictionaries({"itemReferenceId": TEXTS, "fulfillmentStatus": TEXTS}),
    st.fixed_dictionaries({}, optional={"fulfillments": st.lists(ENTRIES | ODD, max_size=3) | ODD}),
)
EVENTS = st.builds(
    lambda name, needed, more, items, siblings: needed | more | items | siblings | name,
    NAMES,
    st.fixed_dictionaries(dict.fromkeys(("id", "orderId", "orderReferenceId", "status", "itemReferenceId"), VALUES)),
    ENTRIES,
    st.fixed_dictionaries({}, optional={"items": st.lists(ITEMS | ODD, max_size=3) | ODD}),
    st.fixed_dictionaries({}, optional={"connectedOrderIds": st.lists(VALUES, max_size=3) | ODD}),
)


def careful(text: bytes) -> facts.Facts | str:
    try:
        return facts.read_facts(text, facts.WEBHOOK, NOW)
    except GelatoRollupError as error:
        return type(error).__name__


@settings(max_examples=600)
@given(EVENTS)
def test_whatever_the_short_way_reads_the_careful_way_reads_too(event: dict[str, Any]) -> None:
    text = parse(json.dumps(event).encode())[1]
    short = typed.read_webhook(text, NOW)
    if short is not None:
        assert short == careful(text)


def test_what_gelato_usually_sends_takes_the_short_way() -> None:
    rng = random.Random(7)
    taken = looked = 0
    for n in range(100):
        for received in lifelike_order(rng, f"R{n}"):
            if received.source != facts.WEBHOOK:
                continue
            text = parse(json.dumps(received.event).encode())[1]
            short = typed.read_webhook(text, received.received_us)
            looked += 1
            if short is not None:
                taken += 1
                assert short == facts.read_facts(text, facts.WEBHOOK, received.received_us)
    assert taken > 0.5 * looked > 1_000
