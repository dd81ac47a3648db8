"""Baseline D, fold: a Redis Streams reader in batches of 100 with a trivial fold, one reader, two round trips a batch.

`streams_reader.py REDIS_URL`

The cursor is written in the same transaction as the documents, which makes every batch exactly-once without a consumer
group and its acknowledgements. The latest status of each item wins; nothing is kept of an event.
"""

import sys
from typing import Any

import orjson
import redis

BATCH = 100


def fold(document: dict[str, Any], event: dict[str, Any]) -> None:
    order = document["orders"].setdefault(event["orderId"], {"items": {}})
    if "itemReferenceId" in event:
        item = order["items"].setdefault(event["itemReferenceId"], {})
        if "status" in event:
            item["status"] = event["status"]
        if "trackingCode" in event:
            item["trackingCode"] = event["trackingCode"]
    elif "fulfillmentStatus" in event:
        order["status"] = event["fulfillmentStatus"]
        for each in event.get("items") or ():
            order["items"].setdefault(each["itemReferenceId"], {})["status"] = each["fulfillmentStatus"]
    document["events"] += 1


def main(url: str) -> None:
    client = redis.Redis.from_url(url, protocol=2)
    cursor = client.get("cursor") or b"0"
    while True:
        answer = client.xread({"events": cursor}, count=BATCH, block=1000)
        if not answer:
            continue
        entries = answer[0][1]
        keys = list({b"document:" + fields[b"o"] for _, fields in entries})
        raws = client.mget(keys)
        documents = {
            key: orjson.loads(raw) if raw else {"orders": {}, "events": 0} for key, raw in zip(keys, raws, strict=True)
        }
        for _, fields in entries:
            fold(documents[b"document:" + fields[b"o"]], orjson.loads(fields[b"e"]))
        cursor = entries[-1][0]
        with client.pipeline(transaction=True) as pipeline:
            for key, document in documents.items():
                pipeline.set(key, orjson.dumps(document))
            pipeline.set("cursor", cursor)
            pipeline.execute()


if __name__ == "__main__":
    main(sys.argv[1])
