"""Nothing of a person is left anywhere, whatever the order API answers, and whatever becomes of the answer."""

from pathlib import Path
from typing import Any

import orjson
from support.contents import all_texts
from support.gelato.hostile import REFERENCE, Victim
from support.gelato.intermediary import Intermediary, running
from support.gelato.upstream import KEY, PERSONAL, Fault, Upstream
from support.orders import document, fold
from support.polling import eventually
from support.server import Server

from shared.store import Store


def test_nothing_of_a_person_is_left_anywhere(
    gelato: Intermediary, upstream: Upstream, victim: Victim, server: Server, store: Store
) -> None:
    """After a response full of personal data has gone through every route, the ways of errors and dead letters too."""
    personal = dict(PERSONAL)
    whole = {**upstream.orders[victim.order_id], "shippingAddress": personal, "billingEntity": personal}
    odd: list[Any] = [
        {**whole, "id": personal},
        {**whole, "orderReferenceId": [personal]},
        {**whole, "fulfillmentStatus": personal},
        {**whole, "items": personal},
        {**whole, "items": [personal]},
        {**whole, "connectedOrderIds": [personal], "updatedAt": personal["lastName"]},
        {**whole, "shipment": {"packages": [personal], "minDeliveryDate": personal["city"]}},
        [whole],
        {"orders": personal},
        {"orders": [personal, whole, {**whole, "fulfillmentStatus": None}]},
    ]
    bodies = [orjson.dumps(each) for each in odd]
    bodies += [orjson.dumps(whole)[:-5], orjson.dumps(whole) + b"\xff", b"Personal-Paul Personal-Smith"]
    for body in bodies:
        for status in (200, 400):
            for call in (gelato.submit, lambda: gelato.get(victim.order_id), lambda: gelato.search({})):
                upstream.faults.append(Fault(status, body=body))
                call()
        gelato.receiver.client.post(
            "/tenants/acme/snapshots", content=body, headers={"Authorization": "Bearer acme-posts"}
        )
    upstream.faults += [Fault(500, body=bodies[0]), Fault(reset=True, after=True)]
    gelato.submit(key="k-1", customerReferenceId="Personal-Customer")
    gelato.submit(key="k-2")
    fold(store)
    kept = all_texts(server) + gelato.receiver.log.read_bytes() + gelato.receiver.get("/metrics").content
    assert personal_in(kept) == []
    assert document(store, REFERENCE, "acme")["events"] > 3, "and yet it was folded"


def test_nothing_of_a_person_is_in_the_spool(upstream: Upstream, tmp_path: Path) -> None:
    with running("redis://127.0.0.1:1/0", tmp_path, upstream, GELATO_SPOOL_PERSISTENT="yes") as gelato:
        assert gelato.submit().status_code == 201
        odd = {**upstream.add("REF-2"), "fulfillmentStatus": PERSONAL}
        upstream.faults.append(Fault(201, body=orjson.dumps(odd)))
        assert gelato.submit().status_code == 201
        eventually(lambda: len([line for line in gelato.receiver.said() if line.get("upstream_status") == 201]) == 2)
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    assert b"REF-1" in spooled
    assert b"fulfillmentStatus: must be a string" in spooled, "the dead letter"
    assert personal_in(spooled + gelato.receiver.log.read_bytes()) == []


def personal_in(kept: bytes) -> list[str]:
    sought = [*PERSONAL.values(), "Personal", KEY, "a-secret-half"]
    return [text for text in sought if text.encode() in kept or orjson.dumps(text)[1:-1] in kept]
