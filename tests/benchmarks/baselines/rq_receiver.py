"""Baseline B, intake: the secret, the JSON, `SET NX` against duplicates, `Queue.enqueue`, then 200.

`rq_receiver.py REDIS_URL PORT`

Blocking calls in an `async def`, as RQ's clients are: Starlette's thread pool for them (`def` plus `run_in_threadpool`)
was tried, and is slower on two cores (see docs/reference/benchmarks.md).
"""

import hmac
import os
import sys

os.environ["BASELINE_REDIS_URL"] = sys.argv[1]

import orjson
import redis
from rq import Queue
from serve import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SECRET = b"a-secret-of-the-benchmark"
client = redis.Redis.from_url(sys.argv[1])
queue = Queue("baseline", connection=client)


async def hook(request: Request) -> JSONResponse:
    if not hmac.compare_digest(request.headers.get("x-webhook-secret", "").encode(), SECRET):
        return JSONResponse({"error": "unauthorized"}, 401)
    event = orjson.loads(await request.body())
    if not client.set("seen:" + event["event"] + ":" + event["id"], 1, nx=True, ex=86_400):
        return JSONResponse({"result": "duplicate"})
    queue.enqueue("rq_fold.fold", event, result_ttl=0)
    return JSONResponse({"result": "accepted"})


app = Starlette(routes=[Route("/webhooks/gelato", hook, methods=["POST"])])

if __name__ == "__main__":
    serve(app, int(sys.argv[2]))
