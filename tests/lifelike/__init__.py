"""Random but lifelike histories of one order: what Gelato might send of it, and all that goes wrong.

Every event is usable (`shared.events`). All times are integer microseconds since the epoch, UTC.
Each layer knows those below it: `history` plays, `events` tells, `post` sends, `spelling` writes.
"""

import random

from naive_model import Received

from lifelike.history import History


def lifelike_order(rng: random.Random, reference: str = "83831IAKD2") -> list[Received]:
    """A random history of one order, in order of receipt; never empty."""
    return History(rng, reference).play()
