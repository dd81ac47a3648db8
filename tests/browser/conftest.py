"""One server, one receiver and one worker for all browser tests, a browser for each file, a page for each test."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
import scenery
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, sync_playwright
from support.gelato.sandbox import KEY
from support.polling import eventually
from support.processes import OPS_TOKEN, Process, Receiver, environment
from support.server import Server

from ops.sandbox import Customer, Options, SandboxClient, running

TENANTS = """
[acme]
secret = "acmes-secret"

[asking]
secret = "askings-secret"
[asking.api]
key = "{key}"
url = "{url}"
"""
_CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class House(NamedTuple):
    """What the console looks at, and the order API that a tenant asks; its clock stands."""

    server: Server
    receiver: Receiver
    env: dict[str, str]
    sandbox: SandboxClient


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server of its own (other tests empty theirs), a receiver and a worker, with orders and dead letters."""
    home = tmp_path_factory.mktemp("console")
    server = Server(home, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    api = ExitStack()
    sandbox = api.enter_context(running(Options((Customer("asking", "v4", KEY),))))
    sandbox.pause()
    (home / "tenants.toml").write_text(TENANTS.format(key=KEY, url=sandbox.v4_url))
    env = environment(
        server.url, home / "var", GELATO_TENANTS_FILE=str(home / "tenants.toml"), GELATO_SPOOL_PERSISTENT="yes"
    )
    receiver = Receiver(env, home / "receiver.log").start()
    worker = Process(["worker"], env, home / "worker.log").start()
    try:
        scenery.paint(receiver, hostile=scenery.pictures() is None)
        eventually(lambda: _is_folded(receiver), what="the orders to be folded")
        yield House(server, receiver, env, sandbox)
    finally:
        worker.kill()
        receiver.stop()
        api.close()
        server.stop()


def _is_folded(receiver: Receiver) -> bool:
    found = receiver.get("/orders", params={"limit": 100}).json()["orders"]
    expected = scenery.ORDERS + (len(scenery.HOSTILE) if scenery.pictures() is None else 0)
    return len(found) >= expected and any(order["events"] >= scenery.SPLIT_EVENTS for order in found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium: no browser is downloaded.

    One for each file: while Playwright is there its event loop counts as running, and other files run loops of their own.
    """
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("these tests need a browser: `apt-get install chromium`, or its path in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def visitor(house: House, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages for somebody who is not signed in: `visitor(color_scheme="dark")`.

    What a page says on its console, or an error of its script, fails the test; but for the answers that are expected
    (`forgive=401`), which the browser reports there too.
    """
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def open_page(forgive: int = 0, **options: object) -> Page:
        context = browser.new_context(base_url=house.receiver.base, **options)  # type: ignore[arg-type]
        context.set_default_timeout(5_000)
        contexts.append(context)
        page = context.new_page()

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and f"status of {forgive} (" not in message.text:
                said.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="module")
def signed_in(house: House, browser: Browser) -> StorageState:
    """The cookie of somebody who signed in."""
    context = browser.new_context(base_url=house.receiver.base)
    sign_in(context.new_page())
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def operator(visitor: Callable[..., Page], signed_in: StorageState) -> Callable[..., Page]:
    """Opens pages for somebody who is signed in."""

    def open_page(path: str = "/console", **options: object) -> Page:
        page = visitor(storage_state=signed_in, **options)
        page.goto(path)
        return page

    return open_page


def sign_in(page: Page, path: str = "/console", name: str = "Ada") -> None:
    """Sign in, and see a page."""
    page.goto(path)
    page.get_by_label("Ops token").fill(OPS_TOKEN)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
