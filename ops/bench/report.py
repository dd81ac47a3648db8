"""What is printed, and what is written: tables for people, JSON for machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.bench.results import Check, Result, Target


def report(about: dict[str, Any], results: Sequence[Result]) -> RenderableType:
    """The tables, and loudly what may not be believed."""
    machine, versions = about["machine"], about["versions"]
    parts: list[RenderableType] = [
        Text(f"{about['command']}   {about['started']}", style="bold"),
        Text(
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memoryGiB']} GiB, {machine['kernel']}, "
            f"{machine['fileSystem']}, load average {machine['loadAverage']} at the start"
        ),
        Text("; ".join(f"{name} {version}" for name, version in versions.items()), style="dim"),
    ]
    parts.extend(Text(f"! {warning}", style="yellow") for warning in about["warnings"])
    for result in results:
        parts += [Text(), _measured(result), _targets(result.targets)]
        parts.extend(Text(f"  {note}", style="dim") for note in result.notes)
        parts.append(_checked(result))
    failed = [check for result in results for check in result.failed]
    if failed:
        parts.append(_loudly(failed))
    return Group(*parts)


def write_json(path: Path, about: dict[str, Any], results: Sequence[Result]) -> None:
    """Everything: machine, versions, settings, every single run."""
    value = {**about, "benchmarks": {result.name: result.to_dict() for result in results}}
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def warnings(machine: dict[str, Any], *, quick: bool, runs: int) -> list[str]:
    """What a reader of the figures must know."""
    found = []
    if quick:
        found.append("--quick: small and short, not to be quoted")
    elif runs < 5:
        found.append("fewer than 5 runs: medians of so few say little")
    if machine["loadAverage"] > 0.5:
        found.append(f"the machine was busy when this began (load average {machine['loadAverage']}): figures are noisy")
    if machine["fileSystem"] in ("tmpfs", "ramfs"):
        found.append(
            "the servers write to memory (tmpfs): `appendfsync always` costs nothing here; set TMPDIR to a disk"
        )
    return found


def _measured(result: Result) -> Table:
    table = Table(title=result.name, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("measured")
    table.add_column("median", justify="right")
    table.add_column("unit")
    table.add_column("spread", justify="right")
    table.add_column("runs", justify="right")
    for series in result.series.values():
        spread = f"±{series.spread:.0%}" if len(series.runs) > 1 else ""
        table.add_row(
            series.name,
            f"{series.median:,.{series.digits}f}",
            series.unit,
            spread,
            str(len(series.runs)),
            style=_dim(series.name),
        )
    return table


def _targets(targets: Sequence[Target]) -> Table:
    table = Table("target", box=None, pad_edge=False)
    table.add_column("figure", justify="right")
    table.add_column("asked", justify="right")
    table.add_column("")
    for each in targets:
        unit = f" {each.unit}" if each.unit else ""
        asked = f"{'≥' if each.at_least else '≤'} {each.bound:g}{unit}"
        met = Text("met", style="green") if each.met else Text("missed", style="bold red")
        table.add_row(each.what, f"{each.figure:,.{each.digits}f}", asked, met)
    return table


def _checked(result: Result) -> Text:
    failed = len(result.failed)
    if failed:
        return Text(f"{failed} of {len(result.checks)} checks of this result FAILED", style="bold red")
    return Text(f"{len(result.checks)} checks of this result hold", style="dim")


def _loudly(failed: Sequence[Check]) -> Panel:
    lines = "\n".join(f"{check.what}: {check.detail}" for check in failed)
    return Panel(Text(lines), title="NOT TO BE BELIEVED: these checks failed", border_style="bold red")


def _dim(name: str) -> str:
    return "" if name.startswith("ours") else "dim"
