"""Baseline B's job: fold one event into the order's JSON document. The latest status of each item wins.

Read and write without WATCH or a lock: right with one worker, and faster than right with several.
"""

import os
from typing import Any

import orjson
import redis

client = redis.Redis.from_url(os.environ["BASELINE_REDIS_URL"])


def fold(event: dict[str, Any]) -> None:
    key = "document:" + event["orderReferenceId"]
    raw = client.get(key)
    document = orjson.loads(raw) if raw else {"orders": {}, "events": 0}
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
    client.set(key, orjson.dumps(document))
