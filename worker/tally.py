"""What folding did: counted per batch, added up per shift, reported by `worker.report`."""

from dataclasses import dataclass, field

from shared.counting import Histogram
from shared.metrics import DOCUMENT_BOUNDS


@dataclass
class Tally:
    """What a batch, or a shift of batches, did."""

    orders: int = 0
    events: int = 0
    changed: int = 0
    conflicts: int = 0
    failed: int = 0
    parked: int = 0
    leases_expired: int = 0
    #: Orders still due when the batch was claimed.
    waiting: int = 0
    #: From each event's receipt to its document.
    to_document: Histogram = field(default_factory=lambda: Histogram(DOCUMENT_BOUNDS))

    def add(self, other: "Tally") -> None:
        """Add another tally to this one; `waiting` is the latest."""
        self.waiting = other.waiting
        if other.orders:
            self.orders += other.orders
            self.events += other.events
            self.changed += other.changed
            self.conflicts += other.conflicts
            self.failed += other.failed
            self.parked += other.parked
            self.leases_expired += other.leases_expired
            self.to_document.add(other.to_document)
