"""`gelato-rollup simulate`: play Gelato against a running service, and compare what comes out."""

import asyncio
import sys

import click
from rich.progress import TaskID

from ops.cli.common import DONE, FOUND_SOMETHING_WRONG, as_json, command, out, print_json, progress, settings_in_force
from ops.simulator.run import Options
from ops.simulator.run import simulate as play
from shared import tenants
from shared.errors import ConfigurationError
from shared.settings import DEFAULT_TENANT, Settings, receiver_url_file


@click.command()
@click.option("--url", default=None, help="The receiver. Default: that of HOST and PORT.")
@click.option("--orders", default=100, show_default=True, help="How many orders.")
@click.option("--rate", default=200.0, show_default=True, help="Webhooks a second; 0: as fast as they go.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same orders and faults.")
@click.option("--duplicate", default=0.1, show_default=True, help="Chance that an event is posted twice.")
@click.option("--reorder", default=0.1, show_default=True, help="Chance that an event is overtaken by later ones.")
@click.option("--fail", default=0.0, show_default=True, help="Chance that a try is cut off before its answer is read.")
@click.option("--split", default=3, show_default=True, help="The most connected orders of one order.")
@click.option("--trouble", default=0.15, show_default=True, help="Chance that an order goes wrong in some way.")
@click.option("--retry-seconds", default=5.0, show_default=True, help="Gelato's wait between its three tries.")
@click.option("--settle-seconds", default=60.0, show_default=True, help="The longest wait for the documents.")
@click.option("--concurrency", default=32, show_default=True, help="Connections.")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose orders.")
@as_json
@command
def simulate(
    url: str | None,
    orders: int,
    rate: float,
    seed: int,
    duplicate: float,
    reorder: float,
    fail: float,
    split: int,
    trouble: float,
    retry_seconds: float,
    settle_seconds: float,
    concurrency: int,
    tenant: str,
    as_json: bool,
) -> None:
    """Play Gelato, and compare each document with what was sent.

    Whole lifecycles of split orders are posted twice, late and out of order. Ends with 1 on any difference.
    """
    settings = settings_in_force()
    known = tenants.load(settings).by_name.get(tenant)
    if known is None or not known.secrets:
        raise ConfigurationError(
            f"no webhook secret for tenant {tenant!r}: set GELATO_WEBHOOK_SECRET, or run where `up` runs (GELATO_DATA_DIR)"
        )
    options = Options(
        url=url or _receiver(settings),
        secret=known.secrets[0].reveal(),
        redis_url=settings.where(),
        tenant=tenant,
        header=known.header,
        orders=orders,
        rate=rate,
        seed=seed,
        duplicate=duplicate,
        reorder=reorder,
        fail=fail,
        split=split,
        trouble=trouble,
        retry_seconds=retry_seconds,
        settle_seconds=settle_seconds,
        concurrency=concurrency,
    )
    with progress() as bar:
        tasks: dict[str, TaskID] = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done, total=total)

        report = asyncio.run(play(options, show))
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(report, width=None if out.is_terminal else 100)
    sys.exit(DONE if report.ok else FOUND_SOMETHING_WRONG)


def _receiver(settings: Settings) -> str:
    """The receiver of the `up` that runs here, else that of HOST and PORT."""
    try:
        return receiver_url_file(settings.data_dir).read_text().strip()
    except OSError:
        return settings.base_url()
