"""Read gelato-rollup's documents and changes from Python.

A thin front for downstream services: the typed reader and the shapes that it gives.
"""

from shared.errors import ConfigurationError, GelatoRollupError, StoreUnavailable
from shared.reader import Reader
from shared.schema import (
    SCHEMA,
    Attention,
    Change,
    ConnectedDocument,
    DeliveryEstimate,
    Document,
    Facility,
    Fulfillment,
    ItemDocument,
    LineDocument,
    Package,
)
from shared.store.keys import CHANGES, document_key

__all__ = [
    "CHANGES",
    "SCHEMA",
    "Attention",
    "Change",
    "ConfigurationError",
    "ConnectedDocument",
    "DeliveryEstimate",
    "Document",
    "Facility",
    "Fulfillment",
    "GelatoRollupError",
    "ItemDocument",
    "LineDocument",
    "Package",
    "Reader",
    "StoreUnavailable",
    "document_key",
]
