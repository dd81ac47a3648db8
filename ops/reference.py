"""The reference pages that are made from the code: `make reference` writes them anew, a test compares them.

A page holds what is made of it between `<!-- NAME: ... -->` and `<!-- end of NAME -->`; all around it is written by hand.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from ops.cli import main
from ops.cli.config import reference as settings
from shared import json_schemas, metrics, patience, schema, statuses
from shared.store import keys

DOCS: Final = Path(__file__).parents[1] / "docs"
#: What Gelato's documentation says of its statuses; the last three are this project's.
_MEANINGS: Final = {
    "draft": "not meant for fulfillment yet",
    "not_connected": "imported from a store, its items not connected to products: the merchant must act",
    "created": "received by Gelato",
    "uploading": "being processed and validated",
    "digitizing": "embroidery artwork is being converted",
    "passed": "accepted, soon at a print partner",
    "in_production": "production has started",
    "printed": "printed; can no longer be canceled",
    "pending_personalization": "waits for the end customer's personalization",
    "pending_approval": "waits for the merchant's approval",
    "on_hold": "waits for the merchant, for instance because something is out of stock",
    "failed": "could not be fulfilled; `comment` says why",
    "canceled": "canceled (Gelato also writes `cancelled`)",
    "shipped": "a label was made, or the carrier has it",
    "in_transit": "with the carrier",
    "delivered": "delivered",
    "returned": "came back to the sender",
    "partially_shipped": "some lines are shipped or in transit, others are not yet",
    "partially_delivered": "some lines are delivered, others are not",
    "partially_returned": "some lines are returned, the others delivered or on their way",
}
#: What stands for an argument in the name of a key.
_ARGUMENTS: Final = {
    "name": "T/R",
    "tenant": "T",
    "shard": "N",
    "number": "N",
    "step_seconds": "STEP",
    "group": "GROUP",
    "upstream": "HASH",
    "order_id": "ORDER-ID",
}
_KEY_DOCSTRING: Final = re.compile(r"(String|Hash|List|Set|Sorted set|Stream): (.+)", re.DOTALL)


def made(name: str) -> str:
    """What the code says now, as Markdown."""
    return PAGES[name][1]()


def held(name: str) -> str:
    """What the page says."""
    after = (DOCS / PAGES[name][0]).read_text().partition(f"<!-- {name}: ")[2]
    return after.partition("\n")[2].partition(f"\n<!-- end of {name} -->")[0]


def write() -> None:
    """Bring all pages up to date."""
    for name, (path, make) in PAGES.items():
        page = DOCS / path
        before, found, after = page.read_text().partition(f"<!-- {name}: ")
        comment, _, old = after.partition("\n")
        _, end, rest = old.partition(f"\n<!-- end of {name} -->")
        page.write_text(f"{before}{found}{comment}\n{make()}{end}{rest}")


def _commands() -> str:
    return "\n\n".join(_command(("gelato-rollup",), main))


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    """A command's heading, its `--help`, and those of its own commands."""
    context = click.Context(
        command, info_name=" ".join(path), terminal_width=100, max_content_width=100, **main.context_settings
    )
    yield f"{'#' * (len(path) + 1)} {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            if each is not None:
                yield from _command((*path, name), each)


def _keys() -> str:
    rows = [*_named_keys(), *_keys_with_arguments()]
    return "\n".join(["| key | type | what it holds |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def _keys_with_arguments() -> Iterator[tuple[str, str, str]]:
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        said = _KEY_DOCSTRING.match(inspect.getdoc(function) or "")
        if name.startswith("_") or said is None or function.__module__ != keys.__name__:
            continue
        shown = ", ".join(f"`{key}`" for key in _shown(name, function))
        if shown:
            yield shown, said[1].lower(), " ".join(said[2].split())


def _shown(name: str, function: Callable[..., object]) -> list[str]:
    """A key with its arguments as words; several where the function tells of several."""
    match name:
        case "by_status":
            return ["gelato:status-STATUS:{T}"]
        case "flagged":
            return [keys.flagged("T", bit) for bit in range(len(keys.FLAGS))]
        case "find":  # of a digest: `find_bucket` shows it
            return []
        case "submit":
            return [keys.submit("T/DIGEST")]
        case "erased":
            return ["gelato:erased:HASH"]
    words = inspect.signature(function).parameters
    return [str(function(*(_ARGUMENTS.get(word, "ID" if word.endswith("_id") else word.upper()) for word in words)))]


def _named_keys() -> Iterator[tuple[str, str, str]]:
    """Keys without arguments: constants, with the comment `#: Type: ...` above them."""
    source = inspect.getsource(keys)
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        comment, line = "", node.lineno - 2
        while lines[line].startswith("#:"):
            comment, line = f"{lines[line].removeprefix('#:').strip()} {comment}", line - 1
        said = _KEY_DOCSTRING.match(comment)
        if said is not None:
            yield f"`{getattr(keys, node.target.id)}`", said[1].lower(), said[2].strip()


def _statuses() -> str:
    lines = ["| status | rank | final | needs somebody | meaning |", "|---|---|---|---|---|"]
    for status in statuses.HEADLINES:
        rank = statuses.RANK.get(status, "")
        final = "yes" if status in statuses.FINAL else ""
        attention = "yes" if statuses.needs_attention(status) else ""
        lines.append(f"| `{status}` | {rank} | {final} | {attention} | {_MEANINGS[status]} |")
    return "\n".join(lines)


def _fields() -> str:
    """A table for each shape of the document, the whole first."""
    made = json_schemas.json_schema("document")
    whole = made["$ref"].rpartition("/")[2]
    shapes = [whole, *(name for name in made["$defs"] if name != whole)]
    return "\n\n".join(_shape(name, made["$defs"][name]) for name in shapes)


def _shape(name: str, shape: dict[str, Any]) -> str:
    lines = [f"## {name}", "", shape["description"], "", "| field | type | meaning |", "|---|---|---|"]
    # As the types have them: JSON Schemas are sorted.
    for field in getattr(schema, name).__annotations__:
        about = shape["properties"][field]
        absent = "" if field in shape["required"] else ", or absent"
        lines.append(f"| `{field}` | {_type(about)}{absent} | {about.get('description', '')} |")
    return "\n".join(lines)


def _type(of: dict[str, Any]) -> str:
    """A JSON Schema's type in words."""
    match of:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": kinds}:
            return " or ".join(_type(each) for each in kinds)
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"items": items}:
            return f"list of {_type(items)}"
        case {"additionalProperties": dict(values)}:
            return f"map to {_type(values)}"
        case {"pattern": str(pattern)} if pattern.endswith("Z$"):
            return "time"
        case {"pattern": str(pattern)} if "{2}-" in pattern:
            return "day"
    return {"string": "text", "boolean": "boolean", "integer": "number", "null": "`null`"}[of["type"]]


#: The page of each, and what makes it.
PAGES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "settings": ("reference/configuration.md", settings),
    "commands": ("reference/command-line.md", _commands),
    "keys": ("reference/keys.md", _keys),
    "metrics": ("reference/metrics.md", metrics.reference),
    "statuses": ("reference/statuses.md", _statuses),
    "fields": ("reference/document.md", _fields),
    "silences": ("explanation/reconciliation.md", patience.markdown),
}

if __name__ == "__main__":
    write()
