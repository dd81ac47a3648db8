"""A store whose worker dies at a chosen step, or in whose way something comes just then."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.store import Store
from shared.store.calls import Batch, Step
from shared.store.scripts import Script

#: A batch is finished in one call, or step by step, as in a cluster.
ways = pytest.mark.parametrize("one_call", [True, False], ids=["in one call", "step by step"])


class Died(BaseException):
    """The end of a worker: nothing catches it."""


class Mortal(Store):
    """A store whose worker dies before its n-th step; `before` are called once, before a step with their script.

    Without `one_call` a batch is finished step by step, as in a cluster.
    """

    def __init__(self, url: str, *, one_call: bool) -> None:
        super().__init__(Store.from_url(url).client, cluster=False)
        self.one_call = one_call
        self.left: int | None = None
        self.steps = 0
        self.before: dict[Script, Callable[[Step], None]] = {}

    def _step(self, step: Step) -> list[Any]:
        if self.left is not None:
            if self.left == 0:
                raise Died
            self.left -= 1
        self.steps += 1
        for call in step:
            command = call.script if isinstance(call, Batch) else call.command
            if isinstance(command, Script) and command in self.before:
                self.before.pop(command)(step)
        return super()._step(step)

    def carry_out(self, step: Step) -> None:
        """Carry out a step now."""
        super()._step(step)
