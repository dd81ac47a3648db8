"""The fold by itself, without any store: what intake would keep of a history, folded and shown."""

from collections.abc import Sequence
from typing import Any

import orjson
from naive_model import Received

from shared import canonical, document, facts, rollup, snapshots
from shared.events import Usable, read_webhook

CAME_AS = {"webhook": facts.WEBHOOK, "snapshot": facts.POSTED, "fetched": facts.FETCHED}
REFERENCE = "83831IAKD2"


def stored(history: Sequence[Received]) -> list[tuple[bytes, str, int]]:
    """What intake would have stored of a history: canonical text, how it came in, receipt; webhooks only once."""
    first: dict[bytes, int] = {}
    kept: list[tuple[bytes, str, int]] = []
    for received in history:
        came_as = CAME_AS[received.source]
        body = orjson.dumps(received.event)
        if came_as == facts.WEBHOOK:
            event = read_webhook(body)
            assert isinstance(event, Usable)
            if event.digest in first:
                known = kept[first[event.digest]]
                kept[first[event.digest]] = (known[0], known[1], min(known[2], received.received_us))
                continue
            first[event.digest] = len(kept)
            kept.append((event.text, came_as, received.received_us))
        else:
            (snapshot,) = snapshots.split(canonical.parse(body)[0])
            kept.append((snapshot.text, came_as, received.received_us))
    return kept


def fold(events: Sequence[tuple[bytes, str, int]], state: rollup.State | None = None) -> rollup.State:
    """Fold events; an event is distinct by how it came in and its text."""
    state = state or rollup.State()
    for text, came_as, received in events:
        rollup.join(state, facts.read_facts(text, came_as, received))
    return state


def folded(events: Sequence[tuple[bytes, str, int]]) -> dict[str, Any]:
    state = fold(events)
    state.events = len({(text, came_as) for text, came_as, _ in events})
    return as_document(state)


def as_document(state: rollup.State) -> dict[str, Any]:
    built = orjson.loads(orjson.dumps(document.build("default", REFERENCE, state, version=1, updated_us=0)))
    del built["version"], built["updatedAt"]
    return built
