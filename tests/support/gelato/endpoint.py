"""A tiny endpoint for webhooks, without anything behind it: what a sender is tried against."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = "a secret"


class Endpoint:
    """Remembers the bodies it got, answers as told, by how often it saw one."""

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.broken = 0
        self._statuses = list(statuses)

    async def receive(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            self.broken += 1
            return Response(status_code=400)
        if request.headers.get("x-webhook-secret") != SECRET:
            return JSONResponse({"error": "unauthorized"}, 401)
        if b"{{" in body:
            return JSONResponse({"result": "test"})
        seen = self.bodies.count(body)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        status = self._statuses[seen] if seen < len(self._statuses) else 200
        return JSONResponse({"result": "duplicate" if seen else "accepted"}, status)


def against(endpoint: Endpoint, talk: Callable[[str], Awaitable[Any]]) -> Any:
    """Runs the endpoint on a free port of loopback while `talk` talks to it at the given base URL."""

    async def run() -> Any:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            app = Starlette(routes=[Route("/webhooks/gelato", endpoint.receive, methods=["POST"])])
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                return await asyncio.wait_for(talk(f"http://127.0.0.1:{listener.getsockname()[1]}"), 60)
            finally:
                server.should_exit = True
                await serving

    return asyncio.run(run())
