"""Structured logs: one line per event of interest, as JSON or for a person's eyes. Never a payload or a secret.

Lines go to standard error: standard output belongs to what a command prints for others to read.
"""

import atexit
import contextlib
import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

#: Gathered lines are written this long after the first of them.
GATHER_SECONDS = 0.05
_LINE_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_MANY_LINES = 4_000

Logger = structlog.typing.FilteringBoundLogger
_gathering: "_Gathering | None" = None


def configure(level: str = "info", log_format: str | None = None, *, gathered: bool = False) -> None:
    """Set up logging for this process. `log_format`: `json`, `console`, or None to decide by the terminal.

    `gathered`: JSON lines of a busy process are written together, at the latest after `GATHER_SECONDS`; a write per line
    costs a receiver a tenth of its throughput. A killed process takes the lines of its last moment with it.
    """
    global _gathering  # noqa: PLW0603  (logging belongs to the process)
    _gathering = None
    console = log_format == "console" or (log_format is None and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        renderer: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
        target: Any = sys.stderr.buffer
        if gathered:
            target = _gathering = _Gathering(sys.stderr.buffer, wanted=number <= logging.INFO)
        factory = structlog.BytesLoggerFactory(target)
    structlog.configure(
        processors=shared + renderer,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    _adopt_standard_logging(number)


def get(name: str) -> Logger:
    """A logger for one part of the house."""
    logger: Logger = structlog.get_logger(part=name)
    return logger


Line = Callable[[str, dict[str, object]], None]


def quick(name: str) -> Line:
    """A function that writes a line of level `info`: the event, and its fields, which it uses up. For the hottest path.

    In a process with gathered JSON lines it makes the same line as a logger, without structlog's processors: they cost 8
    microseconds a line, this 2.
    """
    slow = get(name)

    def line(event: str, fields: dict[str, object]) -> None:
        gathering = _gathering
        if gathering is None:
            slow.info(event, **fields)
        elif gathering.wanted:
            fields["part"], fields["event"] = name, event
            fields["level"], fields["timestamp"] = "info", datetime.now(UTC)
            gathering.write(orjson.dumps(fields, str, _LINE_OPTIONS))

    return line


def _json(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value, default=str)


class _Gathering(io.RawIOBase):
    """Gathers lines, and writes them together a moment later; all at once when it has many, and at the end."""

    def __init__(self, target: BinaryIO, *, wanted: bool) -> None:
        self._target = target
        #: Whether lines of level `info` are wanted.
        self.wanted = wanted
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._have_some = threading.Event()
        self._told = False
        threading.Thread(target=self._write_now_and_then, name="log", daemon=True).start()
        atexit.register(self._write_out)

    def write(self, line: Any) -> int:
        self._lines.append(line)  # one step of the interpreter: no lock
        if not self._told:
            self._told = True
            self._have_some.set()
        if len(self._lines) >= _MANY_LINES:
            self._write_out()
        return len(line)

    def flush(self) -> None:
        """Do nothing: the logger asks for it after each line."""

    def _write_now_and_then(self) -> None:
        while True:
            self._have_some.wait()
            time.sleep(GATHER_SECONDS)
            self._write_out()

    def _write_out(self) -> None:
        with self._lock:
            self._told = False  # before the lines are taken: a line that comes now asks again
            self._have_some.clear()
            count = len(self._lines)
            lines = self._lines[:count]
            del self._lines[:count]
            if lines:
                # A full disk or a closed pipe must stop neither the service nor the log for good.
                with contextlib.suppress(OSError, ValueError):
                    self._target.write(b"".join(lines))
                    self._target.flush()


class _Adopted(logging.Handler):
    """Brings what libraries say (uvicorn, RQ) into the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(part=record.name)
        error = record.exc_info if record.exc_info and record.exc_info[0] is not None else None
        logger.log(record.levelno, record.getMessage(), exc_info=error)


def _adopt_standard_logging(level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Adopted()]
    root.setLevel(max(level, logging.INFO))
    for name, least in _LIBRARIES.items():
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(max(level, least))


#: RQ tells of every job, uvicorn of every request; the one line per shift and per request is ours.
_LIBRARIES = {
    "rq.worker": logging.WARNING,
    "rq.job": logging.WARNING,
    "rq.queue": logging.WARNING,
    "rq.scheduler": logging.WARNING,
    "uvicorn": logging.INFO,
    "uvicorn.error": logging.INFO,
    "uvicorn.access": logging.WARNING,
    "httpx": logging.WARNING,
}
