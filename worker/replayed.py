"""What becomes of dead letters whose events were sent again: decided by the order's state, after its commit.

Repeating it changes nothing. It comes before the order's lease is given up, so that whoever comes after a crash finds the
order due, and its note still naming the letters.
"""

from collections.abc import Sequence

from shared import log
from shared.store import Store, dead_letters, records, replays
from shared.store.dead_letters import DeadLetter, letter_id
from shared.store.folding import Loaded
from shared.store.stored import Stored
from worker.advance import Advance

logger = log.get("worker.replayed")


def settle(store: Store, orders: Sequence[tuple[Loaded, int, Stored]]) -> None:
    """Remove the letters whose events are folded now. Per order also: how far into its log the state reaches."""
    folded: dict[str, None] = {}
    settled = []
    for order, reached, stored in orders:
        if order.log_length > reached:
            continue  # the replays may be among those that are still to be folded
        waiting = {each.digest for held in stored.deferred for each in records.read([held.record])}
        underway = replays.underway(order.replays)
        parked = {*stored.parked, *waiting}
        folded.update(dict.fromkeys(each.letter for each in underway if each.digest not in parked))
        settled.append((order.name, order.replays, [each for each in underway if each.digest in waiting]))
    if folded:
        gone = store.run(dead_letters.remove(list(folded)))
        logger.info("dead letters folded", letters=sum(letter is not None for letter in gone))
    if settled:
        store.run(replays.settle(settled))


def letters_to_bury(order: Loaded, outcome: Advance, now_us: int) -> list[DeadLetter]:
    """The dead letters of what was parked. What was replayed is parked under the letter that it came from."""
    result = []
    underway = replays.underway(order.replays)
    for digest, letter in outcome.letters.items():
        origins = dict.fromkeys(each.letter for each in underway if each.digest == digest)
        result += [letter._replace(id=each, seen=now_us) for each in origins] or [letter]
    return result


def letters_to_remove(order: Loaded, outcome: Advance, tenant: str) -> list[str]:
    """Letters of parked events that are folded after all, though it was not they that were replayed.

    A snapshot was posted again, say. They go before the commit: their events are in the log, and due.
    """
    ids = dict.fromkeys(letter_id(tenant, each.text, each.came_as) for each in outcome.unparked)
    sent = {each.letter for each in replays.underway(order.replays)}
    return [each for each in ids if each not in sent]
