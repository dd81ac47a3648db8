"""A release whose fold raises for one kind of event: on a worker's PYTHONPATH, it cannot join tracking codes."""

from typing import Any

from shared import facts, rollup

_join = rollup.join


def _broken_join(state: rollup.State, said: facts.Facts, *limits: Any) -> None:
    if said.identity.startswith("trackingCode:"):
        raise KeyError("parcel")
    _join(state, said, *limits)


rollup.join = _broken_join
