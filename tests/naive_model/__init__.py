"""A second, deliberately naive implementation of the fold (docs/explanation/the-fold.md), to check the real one.

Written from the contract alone, one function for about one sentence of it. Everything is recomputed from the
whole set of events for every single answer; nothing is incremental and nothing is fast.
"""

from naive_model.events import Received, clock
from naive_model.order import document

__all__ = ["Received", "clock", "document"]
