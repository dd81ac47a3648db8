"""What keeps an erased order erased, whoever was at work on it meanwhile."""

from collections.abc import Iterable

from shared.store import indexes, keys
from shared.store.calls import Call, Operation
from shared.store.listing import Listed


def take_back(name: str, entry_id: bytes, ids: Iterable[str]) -> Operation[None]:
    """Take back what was told of an order that was gone by then: its entry in the stream, its places, its ids.

    Another order that has come under the same name meanwhile keeps its places in the indexes: they are given up only where
    there is no order, and where nobody has written them since.
    """
    tenant, reference = keys.split_order_name(name)
    _, place = yield [
        Call("XDEL", (keys.CHANGES,), (entry_id,)),
        Call("ZSCORE", (keys.index(tenant),), (keys.escaped(reference),)),
    ]
    (exists,) = yield [Call("EXISTS", (keys.meta(name),))]
    if not exists:
        if place is not None:
            yield from indexes.forget(tenant, [Listed(reference, int(float(place)))])
        if unlinked := indexes.unlinked([(name, ids)]):
            yield unlinked
