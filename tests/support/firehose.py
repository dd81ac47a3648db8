"""Posts many webhooks over a few connections, as fast as they are answered."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from support.processes import SECRET

_CONNECTIONS = 16


def post_all(port: int, bodies: Sequence[bytes], path: str = "/webhooks/gelato") -> "Counter[int]":
    """Post webhooks in their order, some at the same time; how many got which status."""
    return asyncio.run(_post_all(port, bodies, path))


async def _post_all(port: int, bodies: Sequence[bytes], path: str) -> "Counter[int]":
    left = iter(bodies)
    statuses: Counter[int] = Counter()

    async def courier() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in left:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            statuses[int(answer.split(b" ", 2)[1])] += 1
            length = next(
                line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
            ).partition(b":")[2]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(courier() for _ in range(_CONNECTIONS)))
    return statuses
