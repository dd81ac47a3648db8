"""Baseline D, intake: the secret, the JSON, `XADD`, then 200. No check for duplicates.

`streams_receiver.py REDIS_URL PORT`
"""

import hmac
import sys

import orjson
import redis.asyncio
from serve import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = b"a-secret-of-the-benchmark"
client = redis.asyncio.Redis.from_url(sys.argv[1])


async def hook(request: Request) -> Response:
    if not hmac.compare_digest(request.headers.get("x-webhook-secret", "").encode(), SECRET):
        return JSONResponse({"error": "unauthorized"}, 401)
    body = await request.body()
    event = orjson.loads(body)
    await client.xadd("events", {"o": event["orderReferenceId"], "e": body})
    return JSONResponse({"result": "accepted"})


app = Starlette(routes=[Route("/webhooks/gelato", hook, methods=["POST"])])

if __name__ == "__main__":
    serve(app, int(sys.argv[2]))
