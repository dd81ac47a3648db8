"""Several receiver processes behind one port: uvicorn's supervisor, with a SIGHUP of our own.

Uvicorn's answer to a SIGHUP is to replace its processes: their idle connections are closed, and a sender that writes into
one just then must try again. Here the parent reads the tenants, and only if they can be used tells each process to read them
too, as a receiver of one process does: no connection ends. With a broken file nobody is told, and all go on with what they
had; so does a process that has to be started again meanwhile, which gets from its parent what was in force.
"""

import contextlib
import os
import signal
from functools import partial
from socket import socket

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from receiver.app import create_app
from shared import log, tenants
from shared.errors import ConfigurationError
from shared.settings import Settings

logger = log.get("receiver")


class Processes(Multiprocess):
    """The parent. Raises `ConfigurationError` where the tenants cannot be used at the start."""

    def __init__(self, settings: Settings, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._settings = settings
        #: How many times the tenants were read, and by process id: how many of them that process knows.
        self._readings = 0
        self._told: dict[int | None, int] = {}
        config.app = partial(create_app, settings, tenants.load(settings))

    def handle_hup(self) -> None:
        """Have the tenants read again, if they can be."""
        try:
            found = tenants.load(self._settings)
        except ConfigurationError as error:
            logger.error(tenants.NOT_RELOADED, error=str(error))
            return
        self._note_new_ones()  # that were started with those of before
        self.config.app = partial(create_app, self._settings, found)
        self._readings += 1

    def keep_subprocess_alive(self) -> None:
        """Start again what died, and tell those that do not know yet to read the tenants."""
        super().keep_subprocess_alive()
        self._note_new_ones()
        for process in self.processes:
            # One that still starts is told later: a signal before its first breath would kill it.
            if self._told[process.pid] < self._readings and process.is_ready():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGHUP)
                self._told[process.pid] = self._readings

    def _note_new_ones(self) -> None:
        self._told = {process.pid: self._told.get(process.pid, self._readings) for process in self.processes}
