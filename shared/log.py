"""Structured logs: one line per event of interest, as JSON or for a person's eyes. Never a payload or a secret.

Lines go to standard error: standard output belongs to what a command prints for others to read.
"""

import logging
import sys
from typing import Any

import orjson
import structlog

Logger = structlog.typing.FilteringBoundLogger


def configure(level: str = "info", log_format: str | None = None) -> None:
    """Set up logging for this process. `log_format`: `json`, `console`, or None to decide by the terminal."""
    console = log_format == "console" or (log_format is None and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
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


def _json(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value, default=str)


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
