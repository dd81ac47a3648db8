"""`gelato-rollup worker`."""

import click

from ops import secrets
from ops.cli.common import command
from ops.cli.urls import check_urls
from ops.supervise import PROGRAM, Supervisor
from shared import log
from shared.settings import Settings
from worker import process


@click.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@command
def worker(processes: int) -> None:
    """Run workers: fold events into documents."""
    settings = secrets.with_generated(Settings.from_environment())
    log.configure(settings.log_level, settings.log_format)
    check_urls(settings)
    if processes == 1:
        process.run(settings)
        return
    supervisor = Supervisor()
    for number in range(processes):
        supervisor.add(f"worker-{number + 1}", [*PROGRAM, "worker"])
    supervisor.run()
