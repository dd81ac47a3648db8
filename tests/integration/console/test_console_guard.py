"""The console over plain HTTP: who gets in, what is refused, what stands in its answers, and what it says in bad times."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest
from support.polling import eventually
from support.processes import OPS_TOKEN, READ_TOKEN, Receiver, environment
from support.server import Server

from shared import canonical
from shared.events import Usable, classify_webhook
from shared.settings import Settings
from shared.store import Store, intake
from shared.store.intake import Incoming
from worker.shift import shift

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
FORM_TOKEN = re.compile(r'name="form-token" value="([^"]+)"')


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"GELATO_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    """One receiver for this file, on a server that is empty for each test."""
    return process


@pytest.fixture
def browser(receiver: Receiver) -> Iterator[httpx.Client]:
    """Somebody who is not signed in yet, at an address of their own."""
    with at(receiver) as client:
        yield client


def at(receiver: Receiver, address: str | None = None) -> httpx.Client:
    """A client that sends what a browser does, through a proxy that says its address."""
    at.count += 1  # type: ignore[attr-defined]
    count = at.count  # type: ignore[attr-defined]
    headers = {"sec-fetch-site": "same-origin", "x-forwarded-for": address or f"198.51.100.{count}"}
    return httpx.Client(base_url=receiver.base, headers=headers, timeout=10.0)


at.count = 0  # type: ignore[attr-defined]


def sign_in(client: httpx.Client, token: str = OPS_TOKEN, **fields: str) -> httpx.Response:
    return client.post("/console/sign-in", data={"token": token, **fields})


def form_token(client: httpx.Client) -> str:
    found = FORM_TOKEN.search(client.get("/console/settings").text)
    assert found is not None
    return found[1]


def test_every_answer_keeps_scripts_frames_and_caches_out(browser: httpx.Client) -> None:
    paths = ["/console/sign-in", "/console/nowhere", "/console", "/console/live"]
    for answer in [*map(browser.get, paths), sign_in(browser), *map(browser.get, paths[1:3])]:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_the_pages_hold_no_inline_script_or_style(browser: httpx.Client) -> None:
    sign_in(browser)
    for path in ("/console", "/console/orders", "/console/letters", "/console/settings"):
        page = browser.get(path).text
        assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


@pytest.mark.parametrize(
    "path", ["/console", "/console/orders?q=x", "/console/order?reference=%2F", "/console/letters"]
)
def test_nobody_sees_a_page_without_signing_in(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 303
    signed_in = sign_in(browser, next=httpx.URL(answer.headers["location"]).params["next"])
    assert signed_in.headers["location"] == path


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/consoles", "/orders", "/console\\x", "x"]
)
def test_signing_in_leads_to_no_other_site(browser: httpx.Client, wanted: str) -> None:
    assert sign_in(browser, next=wanted).headers["location"] == "/console"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_secure_behind_tls(browser: httpx.Client) -> None:
    plain = sign_in(browser).headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/console"} <= set(plain.split("; "))
    assert "secure" not in plain.split("; ")
    behind_tls = browser.post("/console/sign-in", data={"token": OPS_TOKEN}, headers={"x-forwarded-proto": "https"})
    assert "secure" in behind_tls.headers["set-cookie"].lower().split("; ")


def test_only_the_ops_token_signs_in(browser: httpx.Client) -> None:
    assert sign_in(browser, "a guess").status_code == 401
    assert sign_in(browser, READ_TOKEN).status_code == 403
    assert sign_in(browser, "").status_code == 401
    assert browser.get("/console").status_code == 303


def test_an_address_that_guesses_has_to_wait_and_others_do_not(receiver: Receiver) -> None:
    with at(receiver, "203.0.113.9") as guesser, at(receiver, "203.0.113.10") as other:
        assert [sign_in(guesser, f"guess {n}").status_code for n in range(11)] == [401] * 10 + [429]
        refused = sign_in(guesser)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 12
        assert sign_in(other).status_code == 303


def test_all_receivers_count_guesses_together(
    receiver: Receiver, server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    second = Receiver({**env, "GELATO_TRUSTED_PROXIES": "127.0.0.1"}, tmp_path / "second.log").start()
    try:
        with at(receiver, "203.0.113.20") as here, at(second, "203.0.113.20") as there, at(second) as other:
            told = [sign_in(client, f"guess {n}").status_code for n in range(6) for client in (here, there)]
            assert told == [401] * 10 + [429] * 2
            refused = sign_in(there)
            assert refused.status_code == 429
            assert 0 < int(refused.headers["retry-after"]) <= 6
            assert sign_in(other).status_code == 303
    finally:
        second.stop()
    names = server.client.keys("gelato:sign-in:*")
    assert len(names) == 2
    assert all(0 < server.client.ttl(name) <= 120 for name in names)
    assert not any(b"203" in value for name in names for value in (name, *server.client.hgetall(name)))


def test_tries_that_come_together_are_counted_one_by_one(receiver: Receiver) -> None:
    with at(receiver, "203.0.113.21") as guesser, ThreadPoolExecutor(20) as together:
        told = list(together.map(lambda n: sign_in(guesser, f"guess {n}").status_code, range(20)))
    assert sorted(told) == [401] * 10 + [429] * 10


def test_whoever_signs_in_again_and_again_is_no_guesser(receiver: Receiver) -> None:
    with at(receiver, "203.0.113.22") as operator:
        assert {sign_in(operator).status_code for _ in range(25)} == {303}


def test_a_network_of_ipv6_is_one_guesser(receiver: Receiver) -> None:
    told = []
    for n in range(11):
        with at(receiver, f"2001:db8:1:2::{n:x}") as guesser:
            told.append(sign_in(guesser, "a guess").status_code)
    assert told == [401] * 10 + [429]
    for address in ("2001:db8:1:3::1", "::ffff:203.0.113.23", "::ffff:203.0.113.24"):
        with at(receiver, address) as other:
            assert sign_in(other).status_code == 303


def test_guesses_are_counted_while_redis_is_away(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    own = Server(tmp_path / "server")
    own.start()
    more = {"GELATO_TRUSTED_PROXIES": "127.0.0.1"}
    receiver = Receiver(environment(own.url, tmp_path / "var", **more), tmp_path / "receiver.log").start()
    try:
        with at(receiver, "203.0.113.25") as guesser, at(receiver) as other:
            own.kill()
            told = [sign_in(guesser, f"guess {n}").status_code for n in range(11)]
            assert told == [401] * 10 + [429]
            assert sign_in(other).status_code == 303
    finally:
        receiver.stop()
        own.stop()


def test_a_session_holds_at_every_receiver(receiver: Receiver, browser: httpx.Client, tmp_path: Path) -> None:
    sign_in(browser)
    other = Receiver(receiver.env, tmp_path / "other.log").start()
    with httpx.Client(base_url=other.base, cookies=browser.cookies) as client:
        assert client.get("/console/settings").status_code == 200
    other.stop()


def test_another_ops_token_ends_all_sessions(receiver: Receiver, browser: httpx.Client, tmp_path: Path) -> None:
    sign_in(browser)
    other = Receiver({**receiver.env, "GELATO_OPS_TOKEN": "another-token"}, tmp_path / "other.log").start()
    with httpx.Client(base_url=other.base, cookies=browser.cookies) as client:
        assert client.get("/console/settings").status_code == 303
    other.stop()


def test_signing_out_ends_a_copied_cookie_too(browser: httpx.Client, receiver: Receiver) -> None:
    sign_in(browser)
    copied = dict(browser.cookies)
    browser.post("/console/sign-out", data={"form-token": form_token(browser)})
    assert browser.get("/console").status_code == 303
    with httpx.Client(base_url=receiver.base, cookies=copied) as thief:
        assert thief.get("/console").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
    ids=str,
)
def test_a_form_of_another_site_is_refused(browser: httpx.Client, headers: dict[str, str]) -> None:
    sign_in(browser)
    fields = {"form-token": form_token(browser)}
    del browser.headers["sec-fetch-site"]
    assert browser.post("/console/sign-out", data=fields, headers=headers).status_code == 403
    assert browser.get("/console/settings").status_code == 200


def test_a_form_needs_the_token_of_its_session(browser: httpx.Client, receiver: Receiver) -> None:
    with at(receiver) as other:
        sign_in(other)
        foreign = form_token(other)
    sign_in(browser)
    for fields in ({"x": ""}, {"form-token": ""}, {"form-token": foreign}, {"form-token": "\u00e9"}):
        assert browser.post("/console/sign-out", data=fields).status_code == 403
    own = {"origin": receiver.base}
    token = form_token(browser)
    del browser.headers["sec-fetch-site"]  # an older browser
    assert browser.post("/console/sign-out", data={"form-token": token}, headers=own).status_code == 303


def test_forms_are_bounded(browser: httpx.Client) -> None:
    assert sign_in(browser, "x" * 100_000).status_code == 413
    assert browser.post("/console/sign-in", json={"token": OPS_TOKEN}).status_code == 415
    assert browser.post("/console/sign-in", data={f"f{n}": "" for n in range(1000)}).status_code == 400


def test_a_link_from_another_site_asks_again_by_itself(browser: httpx.Client) -> None:
    answer = browser.get("/console/orders?q=%22x", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/console/orders?q=%22x">' in answer.text


def test_neither_token_nor_cookie_is_in_the_log(browser: httpx.Client, receiver: Receiver) -> None:
    sign_in(browser, "a wrong token to look for")
    sign_in(browser)
    cookie = browser.cookies["gelato-console"]
    browser.get("/console/orders?q=a-marker-of-the-end")
    lines = eventually(lambda: [line for line in receiver.said() if line.get("result") == "done"])
    log = receiver.log.read_text()
    assert lines
    for secret in (OPS_TOKEN, "a wrong token to look for", cookie, "a-marker-of-the-end"):
        assert secret not in log


def test_an_unknown_page_tenant_order_or_letter_is_said_to_be_so(browser: httpx.Client) -> None:
    sign_in(browser)
    for path in ("/console/x", "/console?tenant=nobody", "/console/order?reference=x", "/console/letter?id=%00%F0%9F"):
        answer = browser.get(path)
        assert (path, answer.status_code) == (path, 404)
        assert "</html>" in answer.text
    assert browser.get("/console/orders?after=nonsense").status_code == 400


def test_a_style_sheet_is_kept_for_ever_under_its_own_address(browser: httpx.Client) -> None:
    page = browser.get("/console/sign-in").text
    (address,) = re.findall(r'href="(/console/static/[0-9a-f]+/console\.css)"', page)
    answer = browser.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert browser.get("/console/static/x/..%2f..%2fsite.py").status_code == 404


def test_a_large_order_is_shown_in_parts(browser: httpx.Client, store: Store) -> None:
    items = [{"itemReferenceId": f"item-{n:04}", "fulfillmentStatus": "passed"} for n in range(1000)]
    first = {"object": "orderStatus", "id": "first", "items": items, "fulfillmentStatus": "passed"}
    more = [
        {"object": "itemStatus", "id": f"e{n}", "itemReferenceId": "item-0000", "status": f"s{n % 40}"}
        for n in range(300)
    ]
    incoming = []
    for n, event in enumerate([first, *more]):
        value, text = canonical.parse(orjson.dumps({"orderId": "o", "orderReferenceId": "LARGE", **event}))
        usable = classify_webhook(value, text)
        assert isinstance(usable, Usable)
        incoming.append(Incoming("default", usable, (int(time.time()) - 1000 + n) * 1_000_000))
    store.run(intake.accept(incoming, cluster=False))
    shift(store, Settings(), seconds=1.0)
    sign_in(browser)
    page = browser.get("/console/order?reference=LARGE")
    assert page.status_code == 200
    assert len(page.content) < 400_000
    assert "Page 1 of 10, 1\u202f000 in all" in page.text
    assert "Page 7 of 7, 301 in all" in page.text
    assert "<bdi>item-0099</bdi>" in page.text
    assert "<bdi>item-0100</bdi>" not in page.text
    second = browser.get("/console/order?reference=LARGE&lines=2&events=1").text
    assert "<bdi>item-0100</bdi>" in second
    assert "Page 1 of 7" in second


def test_while_redis_is_away_the_console_says_so_and_shows_the_spool(tmp_path: Path) -> None:
    env = environment("unix:///nowhere/redis", tmp_path / "var", GELATO_SPOOL_PERSISTENT="yes")
    receiver = Receiver(env, tmp_path / "receiver.log").start()
    event = {"object": "orderStatus", "id": "e", "orderId": "o", "orderReferenceId": "R", "fulfillmentStatus": "passed"}
    assert receiver.post(event).json()["spooled"] is True
    with at(receiver) as client:
        assert sign_in(client).status_code == 303
        overview = client.get("/console")
        assert overview.status_code == 200
        assert "Redis cannot be reached" in overview.text
        assert "holds 1 event" in overview.text
        for path in ("/console/orders", "/console/order?reference=R", "/console/letters"):
            page = client.get(path)
            assert page.status_code == 503
            assert "holds 1 event" in page.text
        assert client.get("/console/settings").status_code == 200
    receiver.stop()
