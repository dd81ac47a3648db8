"""What keeps an erased order erased, whoever was at work on it meanwhile."""

from collections.abc import Sequence

from shared.store import keys, orders
from shared.store.calls import Call, Operation
from shared.store.orders import Listed


def take_back(told: Sequence[tuple[str, bytes]]) -> Operation[None]:
    """Take back what was told of orders that were gone by then: `(order's name, id of its entry in the stream)`.

    Another order that has come under the same name meanwhile keeps its place in the index: a place is given up only where
    there is no order, and where nobody has written it since.
    """
    if not told:
        return
    placed = [(*keys.split_order_name(name), name) for name, _ in told]
    _, *places = yield [
        Call("XDEL", (keys.CHANGES,), tuple(entry_id for _, entry_id in told)),
        *(Call("ZSCORE", (keys.index(tenant),), (keys.escaped(reference),)) for tenant, reference, _ in placed),
    ]
    there = yield [Call("EXISTS", (keys.meta(name),)) for _, _, name in placed]
    for (tenant, reference, _), place, exists in zip(placed, places, there, strict=True):
        if place is not None and not exists:
            yield from orders.forget(tenant, [Listed(reference, int(float(place)))])
