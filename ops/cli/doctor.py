"""`gelato-rollup doctor`: whether everything is well."""

import sys

import click
from rich.text import Text

from ops import doctor as examination
from ops.cli.common import DONE, FOUND_SOMETHING_WRONG, as_json, out, print_json
from shared import log
from shared.store.durability import Finding, Level

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


@click.command()
@as_json
@click.option("--url", help="The webhooks' public URL: a test notification is posted there, as Gelato would.")
def doctor(as_json: bool, url: str | None) -> None:
    """Check configuration, server, workers, dead letters, spool and disk; ends with 1 on an error."""
    log.configure("error")
    findings = examination.examine(url)
    if as_json:
        print_json(
            [
                {"check": name, "level": finding.level.name.lower(), "what": finding.what, "remedy": _remedy(finding)}
                for name, finding in findings
            ]
        )
    else:
        for name, finding in findings:
            line = Text(f"{finding.level.name.lower():8}", style=_STYLES[finding.level])
            line.append(f"{name:15}{finding.what}", style="default")
            if _remedy(finding):
                line.append(f"\n{'':23}→ {finding.remedy}", style="dim")
            out.print(line, soft_wrap=True)
    worst = max(finding.level for _, finding in findings)
    sys.exit(FOUND_SOMETHING_WRONG if worst is Level.ERROR else DONE)


def _remedy(finding: Finding) -> str:
    return finding.remedy if finding.level else ""
