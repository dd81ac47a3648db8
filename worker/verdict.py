"""What is to be done about an error in a fold. The one place that decides."""

import traceback
from enum import Enum
from pathlib import Path

from rq.exceptions import StopRequested
from rq.timeouts import BaseTimeoutException

from shared.errors import OrderLimit, StoreUnavailable

_INNOCENT = (BaseTimeoutException, StopRequested, StoreUnavailable, MemoryError)


class Verdict(Enum):
    """What is to be done about an error that was raised while an event was being folded."""

    #: Not the event's fault: the shift ends, the order is folded again by the next.
    GIVE_UP = "give up"
    #: Perhaps the event's fault: try it again later, and park it when its tries are used up.
    RETRY = "retry"
    #: It can never be folded: park it now.
    PARK = "park"


def on(error: BaseException) -> Verdict:
    """The verdict on an error.

    RQ's timeout and its stop are raised by signals, in the middle of whatever is being done: they say nothing about the
    event that happened to be folded then. Nor does a lack of memory, or a server that went away.
    """
    if isinstance(error, _INNOCENT) or not isinstance(error, Exception):
        return Verdict.GIVE_UP
    return Verdict.PARK if isinstance(error, OrderLimit) else Verdict.RETRY


def where(error: BaseException) -> str:
    """Where an error was raised, as `file:line`: what a log may say of it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
