"""Baseline B: enqueue a backlog, the events of a file, one a line.

`rq_backlog.py REDIS_URL FILE QUEUE`
"""

import os
import sys

os.environ["BASELINE_REDIS_URL"] = sys.argv[1]

import orjson
import redis
from rq import Queue

if __name__ == "__main__":
    queue = Queue(sys.argv[3], connection=redis.Redis.from_url(sys.argv[1]))
    with open(sys.argv[2], "rb") as lines:
        for line in lines:
            queue.enqueue("rq_fold.fold", orjson.loads(line), result_ttl=0)
