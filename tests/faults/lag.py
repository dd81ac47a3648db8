"""How late this machine is: what a thread that only wants to wake up on time has to wait. Latencies are judged beside it."""

import threading
import time

_EVERY_SECONDS = 0.02


class Lag(threading.Thread):
    """Measures until `done` is set; `seconds` holds by how much each waking was late."""

    def __init__(self) -> None:
        super().__init__(name="lag", daemon=True)
        self.done = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """The thread's life."""
        while not self.done.is_set():
            began = time.monotonic()
            time.sleep(_EVERY_SECONDS)
            self.seconds.append(time.monotonic() - began - _EVERY_SECONDS)
