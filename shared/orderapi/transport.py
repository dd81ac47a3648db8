"""One HTTP request to an order API: connections that are reused, one deadline, a bounded answer, no redirects.

What httpx raises holds the request, and the request holds the key: nothing that it raises leaves this module, not even as
the context of another error.
"""

import asyncio
import time
from typing import Final, NamedTuple

import httpx

from shared.orderapi.answers import Answer, received_us
from shared.orderapi.upstreams import Upstream

#: An order of two thousand items with its receipts has some 4 MB.
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
_CONNECT_SECONDS: Final = 5.0
#: Shorter than what servers commonly keep a connection open for: a submit must not be sent into one that is being closed.
_KEEP_SECONDS: Final = 4.0
_CONNECTIONS: Final = 128


class Failed(NamedTuple):
    """No answer. `sent`: something may have reached the API. `timed_out`: it had its time."""

    why: str
    sent: bool
    timed_out: bool = False


class Received(NamedTuple):
    """An answer of any status, and its `Retry-After` as sent."""

    answer: Answer
    retry_after: str | None


class Transport:
    """The connections of one process."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        #: By upstream: one that hangs, and holds all its connections, keeps nobody else from his.
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def send(
        self, upstream: Upstream, method: str, url: str, body: bytes | None, longest_seconds: float
    ) -> Received | Failed:
        """Send one request, and wait for its answer at most `longest_seconds` (or the usual timeout, if that is less)."""
        failure = Failed("no answer in time", sent=True, timed_out=True)
        try:
            async with asyncio.timeout(min(self._timeout_seconds, longest_seconds)):
                return await self._exchange(upstream, method, url, body)
        except TimeoutError:
            pass
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            failure = Failed(type(error).__name__, sent=False)
        except httpx.TimeoutException as error:
            failure = Failed(type(error).__name__, sent=True, timed_out=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = Failed(type(error).__name__, sent=True)
        return failure

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _exchange(self, upstream: Upstream, method: str, url: str, body: bytes | None) -> Received | Failed:
        headers = {**upstream.headers(), "Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        asked = _now_us()
        async with self._client(upstream).stream(method, url, content=body, headers=headers) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                return Failed("an answer in an encoding that was not asked for", sent=True)
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_raw():
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    return Failed(f"an answer of more than {MAX_ANSWER_BYTES} bytes", sent=True)
            answer = Answer(
                response.status_code,
                b"".join(parts),
                response.headers.get("content-type", "application/json"),
                received_us(asked, _now_us()),
            )
            return Received(answer, response.headers.get("retry-after"))

    def _client(self, upstream: Upstream) -> httpx.AsyncClient:
        client = self._clients.get(upstream.name)
        if client is None:
            limits = httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=32, keepalive_expiry=_KEEP_SECONDS
            )
            timeout = httpx.Timeout(self._timeout_seconds, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS)
            # A proxy of the environment sees nothing of https; over http it would see the key.
            proxies = upstream.submit_url.startswith("https://")
            client = httpx.AsyncClient(limits=limits, timeout=timeout, follow_redirects=False, trust_env=proxies)
            self._clients[upstream.name] = client
        return client


def _now_us() -> int:
    return time.time_ns() // 1000
