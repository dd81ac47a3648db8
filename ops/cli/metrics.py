"""`gelato-rollup metrics`: what `/metrics` shows, and what it means."""

import click
from rich.table import Table

from ops.cli.common import as_json, out, print_json
from shared.metrics import METRICS, reference


@click.command()
@as_json
@click.option("--markdown", is_flag=True, help="Print the reference table of all metrics instead.")
def metrics(as_json: bool, markdown: bool) -> None:
    """Print the metrics that /metrics shows, with their meaning."""
    if markdown:
        click.echo(reference())
    elif as_json:
        print_json(
            [
                {
                    "name": metric.name,
                    "type": metric.kind.value,
                    "scope": metric.scope.value,
                    "labels": metric.labels,
                    "about": metric.about,
                }
                for metric in METRICS.values()
            ]
        )
    else:
        table = Table("Metric", "Type", "Scope", "Meaning", title="Metrics", title_justify="left")
        for metric in METRICS.values():
            labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
            table.add_row(metric.name + labels, metric.kind.value, metric.scope.value, metric.about)
        out.print(table)
