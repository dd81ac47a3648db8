"""Reads rollup documents from Redis, as any downstream service would."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from redis.exceptions import RedisError

from ops.simulator.errors import SimulatorError
from shared.store.keys import document_key


class Documents:
    """The documents of one tenant."""

    def __init__(self, redis: Any, tenant: str) -> None:
        self._redis, self._tenant = redis, tenant

    async def read(self, references: Sequence[str]) -> Mapping[str, dict[str, Any] | None]:
        """Raises SimulatorError if Redis does not answer."""
        # Not MGET: on a cluster the keys lie in different slots.
        pipeline = self._redis.pipeline(transaction=False)
        for reference in references:
            pipeline.get(document_key(self._tenant, reference))
        try:
            rows = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise SimulatorError(f"cannot read the rollups from Redis ({type(error).__name__})") from error
        return {
            reference: None if row is None else _parsed(row) for reference, row in zip(references, rows, strict=True)
        }


def _parsed(row: bytes) -> dict[str, Any]:
    """What is no JSON object becomes an empty one: a document, but not the one it should be."""
    try:
        document = orjson.loads(row)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
