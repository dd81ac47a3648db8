"""Every Redis key, and nothing else. What is not named here does not exist.

The keys of one order share the hash tag `{tenant/reference}`, those of one shard of the due set `{n}`: in a cluster each
group is in one slot. Nothing from outside is put into a key unescaped.
"""

from binascii import crc32
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from urllib.parse import quote, unquote

from shared.statuses import HEADLINES

PREFIX: Final = "gelato:"
#: The due set is cut into this many, so that a cluster spreads it. All processes of one deployment must agree.
SHARDS: Final = 8

#: Stream: what changed, for downstream: about the last million changes.
CHANGES: Final = PREFIX + "changes"
#: List: at most one element; idle shifts block on it: something is due.
WAKE: Final = PREFIX + "wake"
#: Sorted set: shifts that wait for work, each as the claim under which it shall be handed it, by the server's time
#: (milliseconds) since when. Neither replicated nor on disk.
WAITING: Final = PREFIX + "waiting"
#: Sorted set: shifts that are alive, by the server's time (milliseconds) at which they count as dead.
SHIFTS: Final = PREFIX + "shifts"
#: Sorted set: worker processes that are alive, likewise.
WORKERS: Final = PREFIX + "workers"
#: Hash: what all workers have counted, by metric.
TOTALS: Final = PREFIX + "totals"
#: String: when the last usable webhook came (milliseconds).
LAST_EVENT: Final = PREFIX + "last-event"
#: String: written by receivers to see whether the server takes writes.
PROBE: Final = PREFIX + "probe"
#: String: when a receiver last said that it can take events: the server's time, milliseconds.
READY: Final = PREFIX + "ready:{receivers}"
#: Sorted set: times in which no receiver could, `<from>-<to>` in the server's milliseconds, by their end.
OUTAGES: Final = PREFIX + "outages:{receivers}"
#: Sorted set: tenants by the server's time (milliseconds) from which somebody should look at their reconciliation.
RECONCILE: Final = PREFIX + "reconcile"
#: Sorted set: submits whose outcome is not known (yet), by the time at which they were sent (milliseconds).
UNSETTLED: Final = PREFIX + "unsettled"
#: Sorted set: ids of dead letters by time of receipt (milliseconds).
DEAD_LETTERS: Final = PREFIX + "dead-letters"
#: The lists below lie in the slot of `DEAD_LETTERS`, so that one script keeps them all in step.
_WITH_LETTERS: Final = f"{{{DEAD_LETTERS}}}"
#: Sorted set: groups of dead letters by the time (milliseconds) at which one of theirs was last seen.
DEAD_LETTER_GROUPS: Final = f"{DEAD_LETTERS}:groups:{_WITH_LETTERS}"
#: Hash: what the letters of a group have in common.
DEAD_LETTER_CAUSES: Final = f"{DEAD_LETTERS}:causes:{_WITH_LETTERS}"
#: Sorted set: batches of a spool that are on their way, by the server's time (milliseconds) at which they count as dead.
DRAINS: Final = PREFIX + "drains"
#: Stream: what operators did with dead letters, about the last ten thousand deeds.
DEAD_LETTERS_AUDIT: Final = f"{DEAD_LETTERS}-audit"
#: String: written by the process that mends the lists of dead letters, so that one does.
DEAD_LETTERS_MENDING: Final = f"{DEAD_LETTERS}-mending"
#: Sorted set: replays by the time (milliseconds) at which they were asked for.
REPLAYS: Final = PREFIX + "replays"
#: Set: ids of the replays that are to go on.
REPLAYS_RUNNING: Final = PREFIX + "replays-running"
#: List: at most one element; whoever carries replays blocks on it.
REPLAYS_WAKE: Final = PREFIX + "replays-wake"
#: String: how long the payloads of all dead letters are together, bytes.
DEAD_LETTERS_BYTES: Final = PREFIX + "dead-letters-bytes"
#: Hash: how many dead letters were not kept because there were too many, by reason.
DEAD_LETTERS_DROPPED: Final = PREFIX + "dead-letters-dropped"


def order_name(tenant: str, reference: str) -> str:
    """`tenant/reference`, the reference percent-encoded but for `A-Z a-z 0-9 - _ . ~`: names an order in the due set."""
    return f"{tenant}/{escaped(reference)}"


def split_order_name(name: str) -> tuple[str, str]:
    """The inverse of `order_name`: `(tenant, reference)`."""
    tenant, _, reference = name.partition("/")
    return tenant, unescaped(reference)


def escaped(reference: str) -> str:
    """A reference, percent-encoded as UTF-8 but for `A-Z a-z 0-9 - _ . ~`."""
    return quote(reference, safe="")


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return unquote(text)


def document_key(tenant: str, reference: str) -> str:
    """The rollup document, plain JSON: the one key that downstream reads."""
    return document(order_name(tenant, reference))


def document(name: str) -> str:
    """String: the rollup document of an order (given by its `order_name`), plain JSON."""
    return f"{PREFIX}order:{{{name}}}"


def state(name: str) -> str:
    """String: what the fold remembers of an order."""
    return f"{PREFIX}state:{{{name}}}"


def log(name: str) -> str:
    """List: the order's event log, oldest first."""
    return f"{PREFIX}log:{{{name}}}"


def meta(name: str) -> str:
    """Hash: the duplicate check (8-byte fields), `e` how many events, `b` bytes of them, `g` generation (when the order
    was made), `r` revision, `c` cursor into the log, `p` packed records in front of it, `n` change to announce,
    `d` dead letters whose events were replayed.
    """
    return f"{PREFIX}meta:{{{name}}}"


def of_order(name: str) -> tuple[str, str, str, str]:
    """All keys of an order. They are written, and expire, together."""
    return document(name), state(name), log(name), meta(name)


#: An order's keys, as a script makes them of its name: what stands before and behind it.
ORDER_PREFIXES: Final = tuple(key.partition("\0")[0] for key in of_order("\0"))
ORDER_SUFFIX: Final = "}"


def shard_of(name: str) -> int:
    """The shard of the due set that an order belongs to."""
    return crc32(name.encode()) % SHARDS


def due(shard: int) -> str:
    """Sorted set: orders with work to do, by the server's time (milliseconds) from which they may be claimed."""
    return f"{PREFIX}due:{{{shard}}}"


def marks(shard: int) -> str:
    """Hash: how often a due order was marked; tells a release whether an event came meanwhile."""
    return f"{PREFIX}marks:{{{shard}}}"


def leases(shard: int) -> str:
    """Hash: which claim holds an order."""
    return f"{PREFIX}leases:{{{shard}}}"


def hand(claim_id: str) -> str:
    """List: orders that a waiting shift was handed, claimed and loaded under this claim; it blocks on it. As `WAITING`."""
    return f"{PREFIX}hand:{claim_id}"


#: A shard's keys, as a script makes them of its number: what stands before it. Behind it stands `ORDER_SUFFIX`.
SHARD_PREFIXES: Final = tuple(key(0).partition("0")[0] for key in (due, marks, leases))


def index(tenant: str) -> str:
    """Sorted set: a tenant's orders (escaped references) by the time of their last change (milliseconds)."""
    return f"{PREFIX}index:{{{tenant}}}"


def activity(step_seconds: int, slot: int) -> str:
    """Hash: what happened in one step of a series; `slot` is Unix time divided by the step."""
    return f"{PREFIX}activity:{step_seconds}:{slot}"


#: What an order may be flagged as, by the bits of its flags; for each a sorted set per tenant.
FLAGS: Final = ("open", "attention", "incomplete", "disagrees")
#: Statuses that have an index of their own; all others, which Gelato may add at any time, share the last one.
STATUSES: Final = (*HEADLINES, "other")
#: The index of ids is cut into this many hashes, small enough to be stored compactly for some 400,000 orders.
BUCKETS: Final = 1 << 14


@lru_cache(maxsize=1024)  # two dozen names, for each change
def indexes(tenant: str) -> tuple[str, ...]:
    """All sorted sets of a tenant's orders, each of escaped references: `index`, `idle`, the flags', the statuses'.

    By the time of the last change (milliseconds), but for `idle`: open orders by the receipt of their last event.
    """
    return (index(tenant), idle(tenant), *(flagged(tenant, n) for n in range(len(FLAGS))), *by_status(tenant))


def idle(tenant: str) -> str:
    """Sorted set: a tenant's open orders by the receipt of their last event (milliseconds)."""
    return f"{PREFIX}idle:{{{tenant}}}"


def flagged(tenant: str, bit: int) -> str:
    """Sorted set: a tenant's orders with a flag, by the time of their last change (milliseconds)."""
    return f"{PREFIX}{FLAGS[bit]}:{{{tenant}}}"


def by_status(tenant: str) -> tuple[str, ...]:
    """Sorted set: a tenant's orders of each of `STATUSES`, by the time of their last change (milliseconds)."""
    return tuple(f"{PREFIX}status-{status}:{{{tenant}}}" for status in STATUSES)


def find(tenant: str, text: str) -> tuple[str, bytes]:
    """Hash: orders (their `order_name`s, blanks between them) by the digest of an id of theirs; and that digest."""
    digest = blake2b(f"{tenant}\0{text}".encode(), digest_size=10).digest()
    return find_bucket(int.from_bytes(digest[:2], "big") % BUCKETS), digest[2:]


def find_bucket(number: int) -> str:
    """Hash: orders by the digest of a Gelato order id or tracking code of theirs; one of the `BUCKETS` of this index."""
    return f"{PREFIX}find:{{{number}}}"


def erased(tenant: str, reference: str | None) -> str:
    """String: when an order (or all of a tenant's) was erased. A hash: the name of what was erased is not kept."""
    name = tenant if reference is None else order_name(tenant, reference)
    return f"{PREFIX}erased:{blake2b(name.encode(), digest_size=16).hexdigest()}"


def reconcile_lease(tenant: str) -> str:
    """String: which round of a tenant's reconciliation is going on; expires when its holder dies."""
    return f"{PREFIX}reconcile-lease:{{{tenant}}}"


def reconcile_position(tenant: str) -> str:
    """String: how far the present round of a tenant's reconciliation is."""
    return f"{PREFIX}reconcile-position:{{{tenant}}}"


def reconcile_counts(tenant: str) -> str:
    """Hash: what a tenant's reconciliation has done since ever."""
    return f"{PREFIX}reconcile-counts:{{{tenant}}}"


def reconcile_quiet(tenant: str) -> str:
    """Sorted set: orders (escaped references) that were asked about, by the time (ms) until which they are left alone."""
    return f"{PREFIX}reconcile-quiet:{{{tenant}}}"


def reconcile_wanted(tenant: str) -> str:
    """Sorted set: orders (escaped references) that somebody wants to be asked about, by when that was said (ms)."""
    return f"{PREFIX}reconcile-wanted:{{{tenant}}}"


def dead_letter(letter_id: str) -> str:
    """Hash: one dead letter."""
    return f"{PREFIX}dead-letter:{{{letter_id}}}"


def dead_letter_group(group: str) -> str:
    """Sorted set: ids of the dead letters of one group by time of receipt (milliseconds)."""
    return f"{DEAD_LETTERS}:group:{_WITH_LETTERS}:{group}"


def dead_letters_of(name: str) -> str:
    """Sorted set: ids of the dead letters of one order, by time of receipt (milliseconds)."""
    return f"{DEAD_LETTERS}:order:{_WITH_LETTERS}:{name}"


def pace(upstream: str) -> str:
    """Hash: whose turn it is at an order API: `t` next turn, `b` next turn in the background, `h` held until (all us)."""
    return f"{PREFIX}pace:{{{upstream}}}"


def sign_in(name: str) -> str:
    """Hash: tries to sign in of the addresses with this digest, `t` as in `pace`; goes two minutes after the last."""
    return f"{PREFIX}sign-in:{{{name}}}"


def sign_out(session_id: str) -> str:
    """String: a session of the console that was signed out; expires when the session would have."""
    return f"{PREFIX}sign-out:{{{session_id}}}"


def submit(name: str) -> str:
    """Hash: one submit with an idempotency key (`tenant/digest`): what became of it, and the order's id; no more."""
    return f"{PREFIX}submit:{{{name}}}"


def submitted(order_id: str) -> str:
    """Hash: tenants that submitted a Gelato order here, each with the name of its `submit`, or empty text."""
    return f"{PREFIX}submitted:{{{escaped(order_id)}}}"


def replay(run_id: str) -> str:
    """Hash: one replay of dead letters."""
    return f"{PREFIX}replay:{{{run_id}}}"
