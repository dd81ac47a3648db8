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


def ask_for_shift(shifts: Queue, *, at_most: int = 1) -> bool:
    """Enqueue a shift unless `at_most` wait already. Raises `StoreUnavailable` where RQ's server does not answer."""
    try:
        if shifts.count >= at_most:
            return False
        shifts.enqueue_call(
            JOB, timeout=JOB_TIMEOUT_SECONDS, result_ttl=0, failure_ttl=_FAILURE_TTL_SECONDS, description="a shift"
        )
    except RedisError as error:
        raise StoreUnavailable(f"RQ's server: {type(error).__name__}: {error}") from error
    return True
