"""`gelato-rollup config`: the settings in force."""

import dataclasses
import os
from typing import Any

import click
from rich.table import Table

from ops import secrets
from ops.cli.common import USAGE, as_json, fail, out, print_json
from shared import in_force, tenants
from shared.errors import ConfigurationError
from shared.settings import Settings


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
    shown = in_force.shown(settings)
    names = sorted(known.by_name) if known is not None else None
    if as_json:
        rows = [{"variable": row.variable, "value": row.value, "from": row.origin, "about": row.about} for row in shown]
        where = in_force.data_server(settings)
        print_json({"settings": rows, "tenants": names, "dataServer": where, "problem": problem})
    else:
        table = Table("Variable", "In force", "From", "Meaning", title="Settings", title_justify="left")
        for row in shown:
            table.add_row(row.variable, "" if row.value is None else str(row.value), row.origin, row.about)
        out.print(table)
        out.print(f"Data server: {in_force.data_server(settings)}", markup=False)
        if names is not None:
            out.print(f"Tenants: {', '.join(names)}", markup=False)
    if problem is not None:
        fail(problem, USAGE)


def reference() -> str:
    """The reference of all settings, as a Markdown table; the README holds it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for each in dataclasses.fields(Settings):
        default = "" if each.default in (None, ()) else f"`{in_force.masked(each.default)}`"
        lines.append(f"| `{each.metadata['variable']}` | {default} | {each.metadata['about']} |")
    return "\n".join(lines)


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
