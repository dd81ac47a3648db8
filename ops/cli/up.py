"""`gelato-rollup up`: an embedded server, the receiver, workers."""

import os
import shlex
from pathlib import Path

import click

from ops import secrets
from ops.cli.common import command, out
from ops.cli.urls import check_urls
from ops.embedded import Embedded
from ops.supervise import PROGRAM, Supervisor
from receiver import server
from shared import log
from shared.settings import Settings, receiver_url_file, url_file


@click.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@command
def up(processes: int) -> None:
    """Run everything: an embedded Valkey (without REDIS_URL), the receiver, the worker.

    Makes secrets on the first run, prints the URLs, stops cleanly on Ctrl-C or SIGTERM.
    """
    settings = Settings.from_environment()
    log.configure(settings.log_level, settings.log_format)
    embedded = Embedded(settings.data_dir)
    embedded.prepare()
    check_urls(settings)
    server.check_port(settings)  # before secrets are made: they are shown once, on the first start that works
    settings, made = secrets.generate(settings)
    server.check(settings)
    # The data directory holds the database: whoever runs `up` keeps it, so the spool may rely on it.
    environment = {"GELATO_SPOOL_PERSISTENT": "yes", **secrets.environment_of(settings)}
    supervisor = Supervisor()
    try:
        if settings.redis_url is None:
            embedded.start()
            environment["REDIS_URL"] = embedded.url
        supervisor.add("receiver", [*PROGRAM, "receiver"], environment)
        for number in range(processes):
            supervisor.add(f"worker-{number + 1}", [*PROGRAM, "worker"], environment)
        receiver_url_file(settings.data_dir).write_text(settings.base_url() + "\n")
        _say_where(settings, made, environment.get("REDIS_URL", ""))
        supervisor.run(embedded.look_after if settings.redis_url is None else None)
    finally:
        receiver_url_file(settings.data_dir).unlink(missing_ok=True)
        embedded.stop()


def _say_where(settings: Settings, made: list[str], redis_url: str) -> None:
    base = settings.base_url()
    directory = settings.data_dir
    _say(f"Receiver   {base}   (webhooks: {base}/webhooks/gelato)")
    if redis_url.startswith("unix://"):
        _say(f"Valkey     {redis_url}   (other commands in this directory find it by {url_file(directory)})")
    for name in made:
        about = "what Gelato sends" if name == secrets.WEBHOOK_SECRET else "the operators' bearer token"
        _say(f"Made       {directory / name}: {(directory / name).read_text().strip()}   ({about}; shown this once)")
    _say("Try it:")
    _say(f"  {_curl(settings, base, made)}")
    if (directory / secrets.OPS_TOKEN).exists():
        token = shlex.quote(str(directory / secrets.OPS_TOKEN))
        _say(f'  curl -sS -H "Authorization: Bearer $(cat {token})" {base}/orders/MY-1')


def _curl(settings: Settings, base: str, made: list[str]) -> str:
    """A line to paste. Shows a secret made just now, and reads it from its file later on."""
    event = (
        '{"id":"os_3193599925","object":"itemStatus","itemReferenceId":"poster-13x18","orderReferenceId":"MY-1",'
        '"orderId":"c3c8f7f5-a0e8-4014-a3fb-38a5375d2af8","status":"passed","created":"2018-08-03T07:26:52+00:00"}'
    )
    path: Path = settings.data_dir / secrets.WEBHOOK_SECRET
    if secrets.WEBHOOK_SECRET in made:
        header = shlex.quote(f"{settings.webhook_header}: {path.read_text().strip()}")
    elif path.exists() and not os.environ.get("GELATO_WEBHOOK_SECRET"):
        header = f'"{settings.webhook_header}: $(cat {shlex.quote(str(path))})"'
    else:
        header = f'"{settings.webhook_header}: ${{GELATO_WEBHOOK_SECRET%%,*}}"'
    return f"curl -sS {base}/webhooks/gelato -H {header} -d '{event}'"


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
