"""A hostile tenant, and what it wants to see: acme's orders.

beta is a tenant too, shares acme's connector, knows acme's ids and references.
"""

import http.client
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from support.gelato.intermediary import Intermediary

REFERENCE = "ACME/83831 ü"
ESCAPED = quote(REFERENCE, safe="")
NOWHERE = "NO-SUCH-ORDER"


class Victim(NamedTuple):
    """What beta knows of acme."""

    order_id: str
    sibling: str
    elsewhere: str
    letter: str


class Answer(NamedTuple):
    """All that can be seen of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    gelato: Intermediary, method: str, path: str, token: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request as it is written, without a client's tidying up; of a stream only its beginning."""
    connection = http.client.HTTPConnection("127.0.0.1", gelato.receiver.port, timeout=10)
    sent = {"Authorization": f"Bearer {token}", **(headers or {})}
    connection.request(method, path, None if body is None else orjson.dumps(body), sent)
    answer = connection.getresponse()
    stream = "event-stream" in answer.headers.get("content-type", "")
    seen = {name.lower(): value for name, value in answer.headers.items() if name.lower() != "date"}
    result = Answer(answer.status, seen, b"" if stream else answer.read())
    connection.close()
    return result
