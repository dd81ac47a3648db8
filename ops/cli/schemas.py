"""`gelato-rollup schemas`: the published JSON Schemas."""

from pathlib import Path

import click

from shared import json_schemas


@click.command()
@click.argument("name", type=click.Choice(sorted(json_schemas.SHAPES)), required=False)
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write them all into this directory, each as NAME-VERSION.json.",
)
def schemas(name: str | None, into: Path | None) -> None:
    """Print the JSON Schema of the document, of a change, or of an entry of the stream of changes."""
    if into is not None:
        for each in json_schemas.SHAPES:
            (into / json_schemas.file_name(each)).write_text(json_schemas.text(each))
    elif name is not None:
        click.echo(json_schemas.text(name), nl=False)
    else:
        click.echo("\n".join(sorted(json_schemas.SHAPES)))
