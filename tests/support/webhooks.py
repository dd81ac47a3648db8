"""Posting webhooks, and what became of them in Redis."""

from typing import Any

from shared.store import Store, keys
from support.orders import document, fold
from support.server import Server

ACME_OLD, ACME_NEW = "acmes-old-secret", "acmes-new-secret"
BEARER = "the-secret-of-bearer"
TENANTS = f"""
[acme]
secrets = ["{ACME_OLD}", "{ACME_NEW}"]
header = "Signature"

[bearer]
secret = "{BEARER}"
header = "Authorization"

[closed]
read_tokens = ["closed-reads"]
"""
MIB = 1_048_576
#: In payloads; no log says it.
MARK = "mark-of-a-payload-71f3"


def folded(store: Store, reference: str, tenant: str = "default") -> dict[str, Any]:
    """Fold what is due; the document of an order, which must be there."""
    fold(store)
    return document(store, reference, tenant)


def letter(server: Server, letter_id: str) -> dict[bytes, bytes]:
    """A dead letter as stored."""
    found: dict[bytes, bytes] = server.client.hgetall(keys.dead_letter(letter_id))
    return found


_OF_THE_PROCESSES = tuple(
    f"gelato:{name}".encode()
    for name in ("activity", "last-event", "outages", "pace", "probe", "ready", "shifts", "totals", "wake", "workers")
)


def stored_keys(server: Server) -> list[bytes]:
    """All keys that tell of what was received: not RQ's, nor what the processes say of themselves."""
    return sorted(key for key in server.client.keys("gelato:*") if not key.startswith(_OF_THE_PROCESSES))
