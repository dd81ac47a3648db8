"""A sandbox with three customers, and a catcher of its webhooks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.gelato.catcher import Catcher
from support.gelato.sandbox import CONNECTOR_KEY, KEY, Played

from ops.sandbox import Customer, Options, Target, running


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """Catches the webhooks of all customers."""
    catcher = Catcher()
    yield catcher
    catcher.stop()


@pytest.fixture
def play(catcher: Catcher) -> Iterator[Callable[..., Played]]:
    """Start a sandbox; the clock stands unless a `speed` is given."""
    with ExitStack() as stack:

        def begin(**options: Any) -> Played:
            def target(name: str) -> Target:
                return Target(f"{catcher.url}/{name}", "X-Webhook-Secret", f"{name}s-secret")

            customers = (
                Customer("merchant", "v4", KEY, target=target("merchant")),
                Customer("acme", "connector", CONNECTOR_KEY, "A-1", target("acme")),
                Customer("globex", "connector", CONNECTOR_KEY, "G-2", target("globex")),
            )
            usual = {"retry_seconds": 0.05, "duplicate": 0.0, "reorder": 0.0, "speed": 86_400.0, "concurrency": 4}
            running_now = stack.enter_context(running(Options(customers, **{**usual, **options})))
            if "speed" not in options:
                running_now.pause()
            return stack.enter_context(Played(running_now.base))

        yield begin
