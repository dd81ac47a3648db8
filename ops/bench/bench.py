"""What all benchmarks share: where they write, how often they run, how large they are, who is told how far they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.bench.sizes import FULL, Sizes

Measure = Callable[[], None]


@dataclass
class Bench:
    """`step` is told what is being done, and of how many steps."""

    scratch: Path
    runs: int = 5
    sizes: Sizes = FULL
    step: Callable[[str, int], None] = lambda _what, _total: None

    def rounds(self, subjects: Sequence[tuple[str, Measure]], runs: int | None = None) -> None:
        """Measure each subject once per round, in turns, every other round backwards: slow drifts hit all alike."""
        runs = runs or self.runs
        for number in range(runs):
            order = subjects if number % 2 == 0 else list(reversed(subjects))
            for name, measure in order:
                self.step(f"{name}, run {number + 1} of {runs}", runs * len(subjects))
                measure()
