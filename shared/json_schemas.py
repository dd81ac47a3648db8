"""The published contract as JSON Schema (2020-12), generated from the types in `shared.schema`.

Kept in the package as files (`gelato_rollup/schemas/`), served at `/schemas/`. Objects are open: a later version may add
fields, and what is valid now stays valid.
"""

from typing import Any, Final

import msgspec

from shared.schema import SCHEMA, Change, ChangeEntry, Document

#: What is published, by name.
SHAPES: Final = {"document": Document, "change": Change, "change-entry": ChangeEntry}


def file_name(name: str) -> str:
    """What the schema of a shape is called, with its version."""
    return f"{name}-{SCHEMA}.json"


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one of `SHAPES`. Raises `KeyError` for any other."""
    made = msgspec.json.schema(SHAPES[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:gelato-rollup:{name}:{SCHEMA}",
        **made,
    }


def text(name: str) -> str:
    """The JSON Schema of one of `SHAPES`, as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(json_schema(name), order="sorted"), indent=2).decode() + "\n"
