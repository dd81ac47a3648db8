"""Decides what happens when: faults in episodes, each followed by the wait for everything to be well again.

The order of the faults, their victims and lengths come from the seed. A kind comes again only when all have had their turn.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from faults.kinds import OUTAGES, Fault, Kinds, fill_disk
from faults.stage import Stage

#: The longest wait for an episode to heal. Beyond it the run goes on, and has failed.
HEAL_SECONDS = 60.0


@dataclass
class Episode:
    """Some faults at once: when (`time.time()`), and how long after their end all was well (None: never in time)."""

    faults: list[str]
    began: float
    ended: float
    healed_seconds: float | None


@dataclass
class Story:
    """All that was done to the processes."""

    injected: Counter[str] = field(default_factory=Counter)
    episodes: list[Episode] = field(default_factory=list)
    #: `(from, to)`, by `time.time()`.
    outages: list[tuple[float, float]] = field(default_factory=list)
    disk_full: list[tuple[float, float]] = field(default_factory=list)
    #: What went wrong with a fault itself.
    errors: list[str] = field(default_factory=list)


class Director:
    """Injects faults until told to stop. `scale` shortens them."""

    def __init__(self, stage: Stage, kinds: Kinds, seed: int, scale: float, tell: Callable[[str], None]) -> None:
        self._stage, self._scale, self._tell = stage, scale, tell
        self._rng = random.Random(f"faults/{seed}")
        self._of_processes = self._dealt(kinds.of_processes)
        self._of_the_server = self._dealt(kinds.of_the_server)
        self.story = Story()
        self.enough = threading.Event()
        self.last_error: Exception | None = None

    def run(self) -> Story:
        """The director's thread."""
        with ThreadPoolExecutor(2) as pool:
            while not self.enough.wait(self._rng.uniform(0.1, 1.0) * self._scale):
                self._episode(pool)
        return self.story

    def _episode(self, pool: ThreadPoolExecutor) -> None:
        dice = self._rng.random()
        faults = [next(self._of_processes)] if dice < 0.75 else []
        faults += [next(self._of_the_server)] if dice > 0.35 else []
        began = time.time()
        running = [
            pool.submit(self._inject, fault, random.Random(f"{self._rng.random()}/{fault.__name__}"))
            for fault in faults
        ]
        names = [each.result() for each in running]
        ended = time.time()
        healed = self._healed(ended)
        self.story.injected.update(names)
        self.story.episodes.append(Episode(names, began, ended, healed))
        self._tell(f"{'; '.join(names)}: healed after {'never' if healed is None else f'{healed:.2f} s'}")

    def _inject(self, fault: Fault, rng: random.Random) -> str:
        began = time.time()
        try:
            return fault(self._stage, rng, self._scale)
        except Exception as error:
            self.story.errors.append(f"{fault.__name__}: {type(error).__name__}: {error}")
            return f"(failed: {fault.__name__})"
        finally:
            window = (began, time.time())
            if fault in OUTAGES:
                self.story.outages.append(window)
            if fault is fill_disk:
                self.story.disk_full.append(window)

    def _healed(self, since: float) -> float | None:
        leases: dict[tuple[bytes, bytes], float] = {}
        while (waited := time.time() - since) < HEAL_SECONDS:
            try:
                if self._stage.is_well(leases):
                    return waited
            except Exception as error:  # a receiver that is just starting: not well yet
                self.last_error = error
            time.sleep(0.1)
        return None

    def _dealt(self, kinds: tuple[Fault, ...]) -> Iterator[Fault]:
        """Like cards: all once, then shuffled again."""
        while True:
            deck = list(kinds)
            self._rng.shuffle(deck)
            yield from deck
