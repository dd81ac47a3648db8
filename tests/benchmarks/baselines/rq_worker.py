"""Baseline B, fold: RQ's own workers, one event per job.

`rq_worker.py REDIS_URL simple|forking`
"""

import os
import sys

os.environ["BASELINE_REDIS_URL"] = sys.argv[1]

import redis
import rq_fold  # noqa: F401  (imported before the fork, as RQ's documentation advises: jobs start faster)
from rq import Queue, SimpleWorker, Worker

if __name__ == "__main__":
    client = redis.Redis.from_url(sys.argv[1])
    kind = {"simple": SimpleWorker, "forking": Worker}[sys.argv[2]]
    kind([Queue("baseline", connection=client)], connection=client).work(logging_level="WARNING")
