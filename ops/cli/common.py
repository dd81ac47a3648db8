"""What all commands share: settings, the store, exit codes, output for people and for machines."""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import click
import orjson
from redis.exceptions import RedisClusterException, RedisError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops import secrets
from shared import log, tenants
from shared.errors import ConfigurationError, GelatoRollupError, StoreUnavailable
from shared.settings import DEFAULT_TENANT, Settings
from shared.store import Store

F = TypeVar("F", bound=Callable[..., Any])

_WIDE = 4_000

DONE, FOUND_SOMETHING_WRONG, USAGE = 0, 1, 2

#: What a command prints, and what it says beside that.
#: A pipe has no width: lines are as long as they are, so that `grep` and others see whole references.
out = Console(width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def _tenant_name(context: click.Context, option: click.Parameter, name: str) -> str:
    if not tenants.NAME.fullmatch(name):
        raise click.BadParameter("a tenant's name is of a-z, 0-9, _ and -, at most 63 of them")
    return name


of_tenant = click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose orders.", callback=_tenant_name
)


def command(function: F) -> F:
    """Turn our errors into one line on standard error and an exit code."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except ConfigurationError as error:
            fail(str(error), USAGE)
        except StoreUnavailable as error:
            fail(
                f"{error} (is it running? `gelato-rollup up` brings its own; see `gelato-rollup doctor`)",
                FOUND_SOMETHING_WRONG,
            )
        except (GelatoRollupError, RedisError, RedisClusterException) as error:
            fail(str(error), FOUND_SOMETHING_WRONG)
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has seen enough
            sys.exit(DONE)

    return run  # type: ignore[return-value]


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    err.print(f"gelato-rollup: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


def confirm(question: str, *, else_go_on: bool) -> None:
    """Ask, on standard error, and end unless the answer is yes.

    Where nobody can answer (a script): go on if that is harmless or was said explicitly enough, else ask for `--yes`.
    """
    if else_go_on and not sys.stdin.isatty():
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:  # the end of the input, or Ctrl-C
        err.print()
        fail("nobody confirmed it: nothing was done; --yes does it without asking", USAGE)
    if not agreed:
        fail("nothing was done", FOUND_SOMETHING_WRONG)


def nothing_found(what: str, tenant: str, settings: Settings) -> NoReturn:
    """Say that there is nothing of a tenant, and whether that tenant is configured at all; and end."""
    known = sorted(tenants.load(settings).by_name)
    hint = "" if tenant in known else f" (tenant {tenant} is not configured; there are: {', '.join(known)})"
    fail(what + hint, FOUND_SOMETHING_WRONG)


def settings_in_force() -> Settings:
    """Settings from the environment, and the secrets that `up` made; logging is set up for a command."""
    settings = secrets.with_generated(Settings.from_environment())
    log.configure(settings.log_level, settings.log_format)
    return settings


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The store that the settings name."""
    store = Store.from_url(settings.where())
    try:
        yield store
    finally:
        store.close()


def print_json(value: Any) -> None:
    """Print one JSON value on one line, or indented on a terminal."""
    option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    sys.stdout.write(orjson.dumps(value, option=option, default=str).decode() + "\n")
    sys.stdout.flush()


def print_each(found: Sequence[Mapping[str, Any]], line: Callable[[Mapping[str, Any]], str], *, as_json: bool) -> None:
    """Print what was found: as JSON, or a line each."""
    if as_json:
        print_json(found)
        return
    for each in found:
        out.print(line(each), markup=False, highlight=False)


def progress() -> Progress:
    """A progress bar on standard error; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, disable=not err.is_terminal, transient=True)
