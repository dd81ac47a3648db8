"""Everything that is kept in Redis: keys, scripts, and the operations on them. Nothing else speaks Redis commands."""

from shared.store.client import AsyncStore, Store

__all__ = ["AsyncStore", "Store"]
