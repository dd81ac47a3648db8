"""The service's description of itself: OpenAPI 3.1 at `/openapi.json`, JSON Schemas at `/schemas/`.

One file per part of the service says what its routes take and answer; `shapes` says how what they name looks. Every route
outside the console is described, and nothing else: `tests/unit/documents/test_description.py` holds them together.
"""
