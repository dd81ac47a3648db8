"""The drill of docs/how-to/rotate-the-secret.md: webhooks keep coming while the secret changes, and none is refused or lost.

ROTATION_EVENTS=20000 makes it a larger one (`make rotation`), which prints its figures.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest
from support.events import item_status
from support.orders import found_document, nothing_waits
from support.polling import eventually
from support.processes import Process, Receiver
from support.server import Server

from shared.store import Store, keys

EVENTS = int(os.environ.get("ROTATION_EVENTS", "400"))
REFERENCES = 40
SENDERS = 6
TRIES = 3
#: Gelato waits 5 s between its tries; the drill is stricter.
RETRY_SECONDS = 0.5
PROCESSES = 2
#: Each way in which a secret may come: tenant, path, header, what stands before the secret.
WAYS = [
    ("default", "/webhooks/gelato", "X-Webhook-Secret", ""),
    ("default", "/webhooks/gelato/default", "x-webhook-secret", ""),
    ("acme", "/webhooks/gelato/acme", "Signature", ""),
    ("bearer", "/webhooks/gelato/bearer", "Authorization", "Bearer "),
    ("bearer", "/webhooks/gelato/bearer", "Authorization", ""),
]
OLD, NEW = "the-old-secret", "the-new-secret"

pytestmark = [pytest.mark.timeout(0)] if EVENTS > 5_000 else []


def tenants_with(*secrets: str) -> str:
    """The tenants file, each tenant with the same secrets."""
    line = f"secrets = {orjson.dumps(secrets).decode()}\n"
    return f'[default]\n{line}[acme]\nheader = "Signature"\n{line}[bearer]\nheader = "Authorization"\n{line}'


class Dashboard:
    """Plays Gelato: sends events with the secret that stands in its form, three times at most, and keeps a journal."""

    def __init__(self, bases: list[str], ways: list[tuple[str, str, str, str]]) -> None:
        self.bases, self.ways = bases, ways
        self.secrets = [OLD]
        self.accepted: Counter[str] = Counter()
        self.answers: Counter[int | str] = Counter()
        self.given_up: list[int] = []
        self.slowest_seconds = 0.0
        self._numbers = itertools.count()
        self._stopped = False

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Events keep coming inside of it; at its end the last ones have got their answers."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client, asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send(client))
            try:
                yield
            finally:
                self._stopped = True

    async def more(self, share: float) -> None:
        """Wait until so large a share of the drill's events has been accepted since now."""
        wanted = self.accepted.total() + EVENTS * share
        await polled(lambda: self.accepted.total() >= wanted or bool(self.given_up))

    async def _send(self, client: httpx.AsyncClient) -> None:
        while not self._stopped:
            n = next(self._numbers)
            tenant, path, header, before = self.ways[n % len(self.ways)]
            event = item_status(id=f"is_{n}", orderReferenceId=f"R-{n % REFERENCES}", itemReferenceId=f"item-{n % 3}")
            secret = random.choice(self.secrets)  # an event made before the change is tried again with the old one
            began = time.monotonic()
            for attempt in range(TRIES):
                if attempt:
                    await asyncio.sleep(RETRY_SECONDS)
                base = self.bases[(n + attempt) % len(self.bases)]
                try:
                    answer = await client.post(base + path, json=event, headers={header: before + secret})
                except httpx.TransportError as error:
                    self.answers[type(error).__name__] += 1
                    continue
                self.answers[answer.status_code] += 1
                if answer.is_success:
                    self.accepted[tenant] += 1
                    break
            else:
                self.given_up.append(n)
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)


async def the_dashboard_changes(dashboard: Dashboard) -> None:
    """Step 5: from now on the new secret; steps 5 and 6: what was under way still has the old one."""
    dashboard.secrets = [OLD, NEW]
    await dashboard.more(0.2)
    dashboard.secrets = [NEW]
    await dashboard.more(0.2)


def kept(store: Store, tenants: set[str]) -> Counter[str]:
    """How many events each tenant's documents are made of."""
    counts: Counter[str] = Counter()
    for tenant in tenants:
        for n in range(REFERENCES):
            found = found_document(store, f"R-{n}", tenant)
            counts[tenant] += found["events"] if found else 0
    return counts


def statuses(bases: list[str], way: tuple[str, str, str, str], secret: str) -> set[int]:
    """The answers to a secret, by each receiver, on so many connections that each of its processes has answered."""
    _, path, header, before = way
    found = set()
    for base in bases:
        for _ in range(8):
            headers = {header: before + secret}
            found.add(httpx.post(base + path, json=item_status(), headers=headers, verify=False).status_code)
    return found


def check(dashboard: Dashboard, store: Store, server: Server, ways: list[tuple[str, str, str, str]]) -> None:
    """Nothing is lost, the old secret is refused everywhere, and the figures."""
    assert dashboard.given_up == []
    assert dashboard.accepted.total() >= EVENTS * 0.8
    eventually(lambda: nothing_waits(store), seconds=60, what="everything to be folded")
    assert kept(store, {tenant for tenant, *_ in ways}) == dashboard.accepted
    assert server.client.zcard(keys.DEAD_LETTERS) == 0
    for way in ways:
        assert statuses(dashboard.bases, way, OLD) == {401}, way
        assert statuses(dashboard.bases, way, NEW) == {200}, way
    if EVENTS > 5_000:
        sent, slowest = dashboard.accepted.total(), dashboard.slowest_seconds
        print(f"\n{sent} events, answers {dict(dashboard.answers)}, the slowest {slowest:.2f} s")  # noqa: T201


@pytest.fixture
def receivers(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Start receivers: `receivers(2)` is one of two processes."""
    started: list[Receiver] = []

    def begin(processes: int, **more: str) -> Receiver:
        receiver = Receiver({**env, **more}, tmp_path / f"receiver-{len(started)}.log")
        receiver.arguments = ["receiver", "--processes", str(processes)]
        started.append(receiver)
        return receiver.start()

    yield begin
    for receiver in started:
        receiver.client.close()
        receiver.terminate()


def have_read(receivers: list[Receiver], times: int) -> bool:
    """Whether each process of the receivers has said so many times that it has read the tenants."""
    said = [[line["event"] for line in receiver.said()].count("tenants reloaded") for receiver in receivers]
    return said == [times * PROCESSES, times]


async def polled(look: Callable[[], bool]) -> None:
    """`eventually`, while the events keep coming."""
    await asyncio.to_thread(eventually, look, seconds=600 if EVENTS > 5_000 else 15)


def test_rotating_in_the_tenants_file_refuses_nothing_and_loses_nothing(
    server: Server,
    store: Store,
    tmp_path: Path,
    receivers: Callable[..., Receiver],
    start: Callable[..., Process],
) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text(tenants_with(OLD))
    both = [receivers(n, GELATO_TENANTS_FILE=str(file)) for n in (PROCESSES, 1)]
    start("worker")
    dashboard = Dashboard([each.base for each in both], WAYS)

    async def reload(times: int) -> None:
        for receiver in both:
            receiver.send(signal.SIGHUP)
            await dashboard.more(0.05)
        await polled(lambda: have_read(both, times))

    async def drill() -> None:
        async with dashboard.sending():
            await dashboard.more(0.1)
            file.write_text(tenants_with(NEW, OLD)[:-3])  # a slip of the hand: nothing changes
            for receiver in both:
                receiver.send(signal.SIGHUP)
            await dashboard.more(0.1)
            file.write_text(tenants_with(NEW, OLD))
            await reload(1)
            await the_dashboard_changes(dashboard)
            file.write_text(tenants_with(NEW))
            await reload(2)
            await dashboard.more(0.1)

    asyncio.run(drill())
    assert set(dashboard.answers) == {200}, "no answer but 2xx, and no connection that broke"
    check(dashboard, store, server, WAYS)


def test_rotating_in_the_environment_by_restarts_loses_nothing(
    server: Server,
    store: Store,
    receivers: Callable[..., Receiver],
    start: Callable[..., Process],
) -> None:
    both = [receivers(1, GELATO_WEBHOOK_SECRET=OLD) for _ in range(2)]
    start("worker")
    dashboard = Dashboard([each.base for each in both], WAYS[:2])

    async def restart(secrets: str) -> None:
        for receiver in both:
            await asyncio.to_thread(receiver.terminate)
            receiver.env["GELATO_WEBHOOK_SECRET"] = secrets
            await asyncio.to_thread(receiver.start)
            await dashboard.more(0.05)

    async def drill() -> None:
        async with dashboard.sending():
            await dashboard.more(0.1)
            await restart(f"{NEW},{OLD}")
            await the_dashboard_changes(dashboard)
            await restart(NEW)
            await dashboard.more(0.1)

    asyncio.run(drill())
    assert 401 not in dashboard.answers
    check(dashboard, store, server, WAYS[:2])
