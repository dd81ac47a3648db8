"""`gelato-rollup receiver`."""

import click

from ops import secrets
from ops.cli.common import command
from ops.cli.urls import check_urls
from receiver import server
from shared import log
from shared.settings import Settings


@click.command()
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Receiver processes.")
@command
def receiver(processes: int) -> None:
    """Run the receiver: takes webhooks in, hands documents out."""
    settings = secrets.with_generated(Settings.from_environment())
    log.configure(settings.log_level, settings.log_format)
    check_urls(settings)
    server.run(settings, processes=processes)
