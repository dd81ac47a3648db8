"""`gelato-rollup config`: the settings in force."""

import dataclasses
import os
from typing import Any

import click
from rich.table import Table

from ops import secrets
from ops.cli.common import USAGE, as_json, fail, out, print_json
from shared import tenants
from shared.errors import ConfigurationError
from shared.settings import MASK, Secret, SecretUrl, Settings


@click.command()
@as_json
@click.option("--markdown", is_flag=True, help="Print the reference table of all settings instead.")
def config(as_json: bool, markdown: bool) -> None:
    """Print the settings in force, secrets masked."""
    if markdown:
        click.echo(reference())
        return
    problem: str | None = None
    try:
        settings = secrets.with_generated(Settings.from_environment())
        known: Any = tenants.load(settings)
    except ConfigurationError as error:
        # What is broken must not hide the rest.
        problem, settings, known = str(error), _what_can_be_read(), None
    rows = [_row(each, settings) for each in dataclasses.fields(Settings)]
    names = sorted(known.by_name) if known is not None else None
    if as_json:
        print_json({"settings": rows, "tenants": names, "dataServer": _where(settings), "problem": problem})
    else:
        table = Table("Variable", "In force", "From", "Meaning", title="Settings", title_justify="left")
        for row in rows:
            table.add_row(row["variable"], "" if row["value"] is None else str(row["value"]), row["from"], row["about"])
        out.print(table)
        out.print(f"Data server: {_where(settings)}", markup=False)
        if names is not None:
            out.print(f"Tenants: {', '.join(names)}", markup=False)
    if problem is not None:
        fail(problem, USAGE)


def reference() -> str:
    """The reference of all settings, as a Markdown table; the README holds it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for each in dataclasses.fields(Settings):
        default = "" if each.default in (None, ()) else f"`{each.default}`"
        lines.append(f"| `{each.metadata['variable']}` | {default} | {each.metadata['about']} |")
    return "\n".join(lines)


def _row(each: "dataclasses.Field[Any]", settings: Settings) -> dict[str, Any]:
    variable = each.metadata["variable"]
    value = getattr(settings, each.name)
    in_force = {"redis_url": settings.where, "rq_redis_url": settings.where_rq}.get(each.name)
    origin = "environment" if os.environ.get(variable) else "data directory" if value != each.default else "default"
    return {
        "variable": variable,
        "value": repr(SecretUrl(in_force())) if in_force else _shown(value),
        "from": origin,
        "about": each.metadata["about"],
    }


def _shown(value: Any) -> Any:
    if isinstance(value, SecretUrl):
        return repr(value)
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, tuple):
        return ", ".join(MASK for _ in value) or None
    return value if isinstance(value, (int, float, type(None))) else str(value)


def _where(settings: Settings) -> str:
    return repr(SecretUrl(settings.where()))


def _what_can_be_read() -> Settings:
    """The settings, leaving out one broken variable after another."""
    environment = dict(os.environ)
    for each in dataclasses.fields(Settings):
        variable = each.metadata["variable"]
        try:
            Settings.from_environment({variable: environment.get(variable, "")})
        except ConfigurationError:
            environment[variable] = ""
    return secrets.with_generated(Settings.from_environment(environment))
