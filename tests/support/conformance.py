"""The running service against its own description: schemathesis, with a receiver, a worker, and an order API behind them.

`python -m support.conformance --seed 1 --seconds 120` for longer runs: `make schemathesis`.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from support.events import item_status, order_status, tracking_code
from support.gelato.intermediary import Intermediary, running
from support.gelato.upstream import Upstream
from support.polling import eventually
from support.processes import OPS_TOKEN, Process
from support.server import Server

#: A tenant with an order API; its webhooks have the secret of the default tenant's. The token is the operators': no quota.
TENANT, SECRET = "gamma", "gammas-secret"
_SETTINGS = {"GELATO_WEBHOOK_SECRET": SECRET, "GELATO_API_TIMEOUT_SECONDS": "10"}
REFERENCES = ("83831IAKD2", "a/b {ä}", "REF-1")
#: An opaque cursor, and what the order API thinks of an order, are not in a schema: 400 is an answer to valid data there.
_REFUSED = '["2xx", 304, 400, 401, 403, 404, 409, 422]'
_CONFIG = """
max-stream-events = 2
request-timeout = 10.0

[auth.openapi]
webhookSecret = {{ api_key = "{secret}" }}
opsToken = {{ bearer = "{token}" }}

[dictionaries]
tenants = {{ values = ["{tenant}"] }}
references = {{ values = {references} }}
letters = {{ values = {letters} }}

[parameters]
"path.tenant" = {{ dictionary = "tenants", probability = 0.8 }}
"path.reference" = {{ dictionary = "references", probability = 0.5 }}
"path.id" = {{ dictionary = "letters", probability = 0.5 }}

[checks]
positive_data_acceptance.expected-statuses = {refused}
"""


@contextlib.contextmanager
def stage(server: Server, home: Path) -> Iterator[tuple[Intermediary, list[str]]]:
    """The service with some orders and dead letters in it; and the ids of the letters."""
    upstream = Upstream().start()
    try:
        with running(server.url, home, upstream, **_SETTINGS) as service:
            worker = Process(["worker", "--processes", "1"], service.receiver.env, home / "worker.log").start()
            try:
                yield service, _filled(service)
            finally:
                worker.kill()
    finally:
        upstream.stop()


def _filled(service: Intermediary) -> list[str]:
    receiver = service.receiver
    letters = []
    for tenant in ("default", TENANT):
        for reference in REFERENCES:
            for make in (order_status, item_status, tracking_code):
                answer = receiver.post(make(orderReferenceId=reference), tenant=tenant, secret=SECRET)
                assert answer.json()["result"] == "accepted"
        for body in (b"{", b"\xff", b'{"event":"new_in_2030"}', orjson.dumps(item_status(status=None))):
            letters.append(receiver.post(body, tenant=tenant, secret=SECRET).json()["deadLetter"])
    answer = service.submit("REF-1", tenant=TENANT)
    assert answer.is_success, answer.text
    eventually(lambda: len(receiver.get("/orders").json()["orders"]) == len(REFERENCES), what="the documents")
    return letters


def run(service: Intermediary, letters: list[str], home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all its checks; what it said, and its exit code."""
    config = home / "schemathesis.toml"
    config.write_text(
        _CONFIG.format(
            secret=SECRET,
            token=OPS_TOKEN,
            tenant=TENANT,
            references=orjson.dumps(REFERENCES).decode(),
            letters=orjson.dumps(letters).decode(),
            refused=_REFUSED,
        )
    )
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{service.receiver.base}/openapi.json", "--no-color", "--generation-database", "none", *options]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)


def main() -> int:
    """A long run; its exit code is schemathesis's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "server").mkdir()
        server = Server(home / "server")
        server.start()
        try:
            with stage(server, home) as (service, letters):
                options = ("--seed", str(asked.seed), "--max-time", str(asked.seconds), "--continue-on-failure")
                done = run(service, letters, home, *options)
                print(done.stdout, done.stderr)  # noqa: T201
                failed = [line for line in service.receiver.said() if line.get("result") == "failed"]
                print(f"errors in the receiver's log: {len(failed)}", *failed[:5], sep="\n")  # noqa: T201
        finally:
            server.stop()
    return done.returncode or int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
