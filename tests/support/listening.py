"""A client of server-sent events over real HTTP."""

import contextlib
import socket
import threading
from typing import Any, NamedTuple

import httpx
import orjson

from support.polling import eventually
from support.processes import OPS_TOKEN


class Event(NamedTuple):
    """One event; `data` is its JSON."""

    name: str
    id: str | None
    data: Any


class Listener:
    """Follows one address in a thread of its own until it is closed, or the server ends it."""

    def __init__(self, base: str, path: str, *, token: str = OPS_TOKEN, last_id: str | None = None) -> None:
        self.events: list[Event] = []
        self.comments = 0
        self.ended = False
        headers = {"Authorization": f"Bearer {token}"} | ({} if last_id is None else {"Last-Event-ID": last_id})
        self._client = httpx.Client(base_url=base, timeout=httpx.Timeout(10.0, read=60.0), verify=False)
        self.answer = self._client.send(self._client.build_request("GET", path, headers=headers), stream=True)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.events.append(Event(fields["event"], fields.get("id"), orjson.loads(fields["data"])))
                    fields = {}
            self.ended = True
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass

    def versions(self) -> list[int]:
        """The versions told so far."""
        return [event.data["version"] for event in self.events if "version" in event.data]

    def wait_for(self, version: int) -> Event:
        """The event of a version."""
        told = lambda: [event for event in self.events if event.data.get("version") == version]  # noqa: E731
        return eventually(told, what=f"version {version}")[0]

    def close(self) -> None:
        """Go away. A plain close would wait for the thread that reads."""
        stream = self.answer.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._client.close()
