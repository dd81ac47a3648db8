"""`gelato-rollup config`: the settings in force."""

import dataclasses

import click
from rich.table import Table

from ops import readable
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
    settings, problem = readable.settings()  # what is broken must not hide the rest
    names = None
    if problem is None:
        try:
            names = sorted(tenants.load(settings).by_name)
        except ConfigurationError as error:
            problem = str(error)
    shown = in_force.shown(settings)
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
