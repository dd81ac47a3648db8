"""Selecting dead letters on the command line, and what all of its commands do before and beside their work."""

import getpass
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from ops.cli.common import err
from shared.clock import SECOND, parse_time
from shared.settings import DEFAULT_TENANT
from shared.store import Store, letter_lists
from shared.store.dead_letters import REASONS
from shared.store.letter_lists import Selection

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[Any]):
    """A time, ISO 8601, or an age: `90m`, `36h`, `7d`. In microseconds."""

    name = "time or age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The time."""
        if isinstance(value, int):
            return value
        if value[:-1].isdigit() and len(value) < 8 and value[-1] in _UNITS:
            ago = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
            return time.time_ns() // 1000 - int(ago.total_seconds()) * SECOND
        moment = parse_time(value)
        if moment is None:
            self.fail(f"{value!r} is neither a time (2026-11-22T08:00:00Z) nor an age (90m, 36h, 7d)", param, ctx)
        return moment


def selecting(function: F) -> F:
    """The options that select letters."""
    for option in (
        click.option("--until", type=Moment(), default=None, help="Only letters received by then: a time, or an age."),
        click.option("--since", type=Moment(), default=None, help="Only letters received since: a time, or an age."),
        click.option("--group", default=None, help="Only letters of this group, as `list` names it."),
        click.option("--order", default=None, help="Only letters of this orderReferenceId."),
        click.option("--detail", default=None, help="Only letters whose detail holds this text."),
        click.option("--reason", type=click.Choice(REASONS), default=None, help="Only letters of this reason."),
        click.option("--tenant", default=None, help="Only letters of this tenant."),
    ):
        function = option(function)
    return function


def selection_of(narrowed: dict[str, Any]) -> Selection:
    """The selection that the options make."""
    if narrowed["order"] is not None and narrowed["tenant"] is None:
        narrowed = narrowed | {"tenant": DEFAULT_TENANT}
    return Selection(**narrowed)


def mend_lists(store: Store) -> None:
    """Letters of an older version are in no list yet: a worker lists them, or this does."""
    if not store.run(letter_lists.in_step()) and store.run(letter_lists.may_mend()):
        err.print("bringing the lists of dead letters up to date ...", highlight=False)
        store.run(letter_lists.mend())


def operator() -> str:
    """Who does this, as the audit log has it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return "cli:unknown"
