"""The RQ worker: keeps itself in shifts, stops a shift when asked to, refuses foreign jobs.

`SimpleWorker` and not the forking one: a shift lasts half a minute, beats by ending in time, and must hear of a SIGTERM at
once. Plain `rq worker gelato-rollup -S json` processes work as well, on the receiver's kicks.
"""

from typing import Any

from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError, StopRequested
from rq.job import Job

from shared import kick, log
from shared.errors import StoreUnavailable
from worker import shift

logger = log.get("worker.rq")

#: RQ blocks on its queue for 15 s less than this; a server that hangs is noticed 10 s later.
_WORKER_TTL_SECONDS = 45


class ShiftWorker(SimpleWorker):
    """An RQ worker that asks for a shift whenever it has none, so that one is always waiting when an event comes."""

    log_result_lifespan = False

    def dequeue_job_and_maintain_ttl(self, *arguments: Any, **options: Any) -> Any:
        """Before blocking on the queue: make sure that there is a shift in it for each worker."""
        if shift.stop_asked.is_set():  # asked before RQ listened for signals
            raise StopRequested
        try:
            shifts = self.queues[-1]
            kick.ask_for_shift(shifts, at_most=max(1, self.count(queue=shifts)))
        except StoreUnavailable as error:
            logger.warning("cannot ask for a shift", error=str(error))
        return super().dequeue_job_and_maintain_ttl(*arguments, **options)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a shift; refuse anything else that somebody put into the queue, without calling it."""
        if _function_of(job) in kick.JOBS:
            super().execute_job(job, queue)
            return
        logger.error("foreign job refused", job=job.id)
        job.delete(remove_from_queue=False)

    def request_stop(self, signum: Any, frame: Any) -> None:
        """On SIGTERM or SIGINT: the shift ends after the batch it is at."""
        shift.stop_asked.set()
        super().request_stop(signum, frame)


def work(url: str) -> None:
    """Work until asked to stop. `url`: RQ's server."""
    client = kick.connection(url)
    # Reconciliation first: it folds as well, so that it holds up no shift.
    queues = [kick.reconcile_queue(client), kick.queue(client)]
    worker = ShiftWorker(queues, connection=client, serializer=kick.Serializer, worker_ttl=_WORKER_TTL_SECONDS)
    worker.work(logging_level=None)


def _function_of(job: Job) -> str | None:
    """What a job would call; None where its data is not JSON (a pickled job is never unpickled)."""
    try:
        return str(job.func_name)
    except DeserializationError:
        return None
