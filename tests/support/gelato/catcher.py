"""A receiver of webhooks that only remembers: what came, where, with which headers."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Caught:
    """One request."""

    path: str
    headers: dict[str, str]
    event: dict[str, Any]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Catcher:
    """A real HTTP server on loopback. Answers with `status`."""

    def __init__(self) -> None:
        self.caught: list[Caught] = []
        self.status = 200
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/gelato"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def events(self) -> list[dict[str, Any]]:
        """What came, in the order in which it came."""
        return [each.event for each in list(self.caught)]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(catcher) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                catcher.caught.append(Caught(self.path, headers, orjson.loads(body)))
                self.send_response(catcher.status)
                self.send_header("content-length", "0")
                self.end_headers()

        return Handler
