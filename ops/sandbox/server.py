"""Runs a sandbox on loopback: in a process of its own, or beside a test."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from ops.sandbox.app import sandbox
from ops.sandbox.client import SandboxClient
from ops.sandbox.options import Options
from ops.sandbox.protocol import ResettableProtocol
from shared.errors import ConfigurationError

HOST = "127.0.0.1"
_STOP_SECONDS = 2


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0: any that is free. Raises ConfigurationError if it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {HOST}:{port}: {error.strerror}; choose another --port") from None
    listener.listen(1024)
    return listener


def serve(options: Options, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called once it serves."""
    # Uvicorn passes a signal on when it is done; without a listener it would end a clean stop as a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    asyncio.run(_serve(options, listener, lambda _: ready()))


@contextmanager
def running(options: Options) -> Iterator[SandboxClient]:
    """A sandbox on a free port, in a thread of this process, and a client to speak with it."""
    listener = listen(0)
    stop: list[uvicorn.Server] = []
    ready = threading.Event()

    def started(server: uvicorn.Server) -> None:
        stop.append(server)
        ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(_serve(options, listener, started)), name="sandbox")
    thread.start()
    try:
        ready.wait(10)
        with SandboxClient(f"http://{HOST}:{listener.getsockname()[1]}") as client:
            yield client
    finally:
        for server in stop:
            server.should_exit = True
        thread.join()
        listener.close()


async def _serve(options: Options, listener: socket.socket, started: Callable[[uvicorn.Server], None]) -> None:
    async with sandbox(options) as app:
        config = uvicorn.Config(
            app,
            http=ResettableProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = uvicorn.Server(config)
        started(server)  # the socket listens already: whoever calls now is served in a moment
        await server.serve(sockets=[listener])
