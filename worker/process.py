"""One worker process: RQ's worker in the main thread, the sweep beside it."""

import gc
import os
import signal
import sys
import threading
import time

from shared import log
from shared.errors import StoreUnavailable
from shared.settings import Settings
from shared.store import Store
from worker import rq_worker, shift
from worker.replays import Replays
from worker.report import Report
from worker.shift import stop_asked
from worker.sweep import Sweep

logger = log.get("worker")

#: From a SIGTERM to the end, at most.
_STOP_SECONDS = 7.0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. RQ's server being away is waited out; the sweep folds meanwhile."""
    _listen_for_signals()
    # A shift that has its answer from Redis waits for the interpreter while another thread (sweep, replay, reconciliation)
    # works: by default up to 5 ms, several times for each fold.
    sys.setswitchinterval(0.0005)
    # What start-up has made stays: the collector need not look through it again and again. A fold leaves no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    store = Store.from_url(settings.where())
    sweep = Sweep(store, settings)
    sweep.start()
    replays = Replays(store)
    replays.start()
    report = Report(store)
    report.start()
    signal.signal(signal.SIGHUP, lambda *_: sweep.reload())
    threading.Thread(target=_end_in_time, name="end", daemon=True).start()
    logger.info("worker started", pid=os.getpid())
    wait_seconds = 1.0
    while not stop_asked.is_set():
        begun = shift.shifts_begun
        failure = _work(settings)
        if failure is None or shift.shifts_begun > begun:  # it was well meanwhile: another outage, not the same
            wait_seconds = 1.0
        if failure is not None:
            logger.warning("RQ's server is away", error=failure, retry_seconds=wait_seconds)
        stop_asked.wait(wait_seconds)
        wait_seconds = min(wait_seconds * 2, 15.0)
    sweep.join(timeout=5.0)
    replays.join(timeout=1.0)
    report.end()
    logger.info("worker stopped", pid=os.getpid())


def _work(settings: Settings) -> str | None:
    """Be RQ's worker until asked to stop; what went wrong, if anything did."""
    try:
        try:
            rq_worker.work(settings.where_rq())
        finally:
            _listen_for_signals()  # RQ's handlers ask its server, which may be what has just gone, and raise what it says
    except (StoreUnavailable, OSError) as error:
        return str(error)
    except Exception as error:  # RQ lets redis-py's own errors through while it registers the worker
        return f"{type(error).__name__}: {error}"
    return None


def _end_in_time() -> None:
    """End the process some time after it was asked to stop, whatever it waits for: a server that hangs, most likely.

    Nothing is lost: what was being folded is due again when its lease ends.
    """
    stop_asked.wait()
    time.sleep(_STOP_SECONDS)
    logger.warning("did not stop in time, and is ended", pid=os.getpid())
    os._exit(0)


def _listen_for_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
