"""Serve a baseline exactly as `receiver/server.py` serves the receiver (a test compares the two)."""

from typing import Any

import uvicorn
from starlette.types import ASGIApp

OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "ws": "none",
    "lifespan": "on",
    "access_log": False,
    "log_config": None,
    "server_header": False,
    "date_header": True,
    "proxy_headers": False,
    "h11_max_incomplete_event_size": 65536,
    "timeout_keep_alive": 30,
    "timeout_graceful_shutdown": 8,
    "backlog": 2048,
}


def serve(app: ASGIApp, port: int) -> None:
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, **OPTIONS)).run()
