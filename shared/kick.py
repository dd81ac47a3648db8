"""RQ's queue of shifts: who may ask for one, and how. RQ names the job by its dotted path; nothing here imports it.

A kick is a hint. One that is lost loses nothing: workers ask for shifts of their own, and a sweep that does not depend on
RQ folds what nobody else does.
"""

from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from shared.errors import ConfigurationError, StoreUnavailable
from shared.settings import Settings
from shared.store.connect import connect, is_cluster

QUEUE: Final = "gelato-rollup"
JOB: Final = "worker.shift.run"
#: A shift with reconciliation beside it.
RECONCILE_QUEUE: Final = "gelato-rollup-reconcile"
RECONCILE_JOB: Final = "worker.reconcile.run"
JOBS: Final = frozenset({JOB, RECONCILE_JOB})
JOB_TIMEOUT_SECONDS: Final = 120
#: A shift's job goes at once when it is done, and after a day when it failed: what it did is in the log.
_FAILURE_TTL_SECONDS: Final = 86_400

Serializer = JSONSerializer


def connection(url: str) -> Redis:
    """A connection for RQ. It must not be a cluster, which RQ does not support."""
    if is_cluster(url):
        raise ConfigurationError("RQ needs a plain server: set RQ_REDIS_URL beside a cluster in REDIS_URL")
    client: Redis = connect(url, timeout_seconds=5.0)
    client.set_retry(Retry(NoBackoff(), 1))
    return client


def check(settings: Settings) -> None:
    """Raise `ConfigurationError`, naming the variable, where RQ's server cannot even be asked for."""
    name = "REDIS_URL" if settings.rq_redis_url is None else "RQ_REDIS_URL"
    try:
        connection(settings.where_rq()).close()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def queue(client: Redis) -> Queue:
    """The queue of shifts, with the JSON serializer: nothing from Redis is ever unpickled."""
    return Queue(QUEUE, connection=client, serializer=Serializer)


def reconcile_queue(client: Redis) -> Queue:
    """The queue of shifts that reconcile; to be emptied before that of shifts."""
    return Queue(RECONCILE_QUEUE, connection=client, serializer=Serializer)


def ask_for_shift(shifts: Queue, *, at_most: int = 1) -> bool:
    """Enqueue a shift unless `at_most` wait already. Raises `StoreUnavailable` where RQ's server does not answer."""
    return _ask(shifts, JOB, "a shift", at_most)


def ask_for_reconciliation(url: str) -> bool:
    """Enqueue a shift that reconciles, unless one waits already. Raises `StoreUnavailable`; `url` as for `connection`."""
    client = connection(url)
    try:
        return _ask(reconcile_queue(client), RECONCILE_JOB, "a shift, and reconciliation beside it", 1)
    finally:
        client.close()


def _ask(jobs: Queue, job: str, description: str, at_most: int) -> bool:
    try:
        if jobs.count >= at_most:
            return False
        jobs.enqueue_call(
            job, timeout=JOB_TIMEOUT_SECONDS, result_ttl=0, failure_ttl=_FAILURE_TTL_SECONDS, description=description
        )
    except RedisError as error:
        raise StoreUnavailable(f"RQ's server: {type(error).__name__}: {error}") from error
    return True
