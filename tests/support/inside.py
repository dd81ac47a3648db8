"""An application in this process, as a receiver serves it."""

import threading
from typing import Any

import uvicorn

from receiver import protocol
from support.polling import eventually
from support.processes import free_port


class Inside:
    """An application under uvicorn in a thread of this process, so that its clocks can be changed."""

    def __init__(self, app: Any) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            app, port=self.port, http=protocol.PatientProtocol, log_config=None, ws="none", timeout_graceful_shutdown=5
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> "Inside":
        self.thread.start()
        eventually(lambda: self.server.started, what="the server to start")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
