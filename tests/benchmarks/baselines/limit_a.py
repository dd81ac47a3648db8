"""Limit A: a Starlette endpoint that reads the body and answers 200. Nothing is checked, parsed or kept.

`limit_a.py REDIS_URL PORT` (the URL is not used)
"""

import sys

from serve import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def hook(request: Request) -> Response:
    await request.body()
    return Response(b'{"result":"accepted"}', media_type="application/json")


app = Starlette(routes=[Route("/webhooks/gelato", hook, methods=["POST"])])

if __name__ == "__main__":
    serve(app, int(sys.argv[2]))
