"""Attacks on the whole service: many connections, dawdlers, other people's tenants, secrets where nobody should see them."""

import asyncio
import contextlib
import hmac
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import uvicorn
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from support.events import order_status, webhook
from support.orders import accept, fold
from support.polling import eventually
from support.processes import OPS_TOKEN, READ_TOKEN, SECRET, TENANT_TOKEN, Process, Receiver, environment, free_port
from support.server import Server

from receiver import protocol
from receiver.access import Access
from receiver.app import create_app
from receiver.direct import DirectProtocol
from shared.settings import DEFAULT_TENANT, Settings
from shared.store import Store
from shared.tenants import load

TENANTS = """
[acme]
secret = "acmes-secret"
read_tokens = ["acme-reads"]
tenant_tokens = ["acme-writes"]

[other]
secret = "others-secret"
"""
#: Paths that need no token, or have a way of their own to tell who asks (the console: tests/browser).
OPEN = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/schemas", "/console")


@pytest.fixture(scope="module")
def tenants() -> str:
    return TENANTS


@pytest.fixture
def receiver(process: Receiver, server: Server) -> Receiver:
    return process


def routes() -> list[tuple[str, str]]:
    """Every method and path of the application that needs a token."""
    settings = Settings.from_environment(
        environment("redis://127.0.0.1:1/0", Path("/nonexistent"), GELATO_METRICS_TOKEN="a-metrics-token")
    )
    found = [route for route in create_app(settings).app.routes if isinstance(route, Route)]
    guarded = [route for route in found if not route.path.startswith(OPEN)]
    return sorted((method, route.path) for route in guarded for method in (route.methods or ()) if method != "HEAD")


def filled(path: str, tenant: str) -> str:
    """A path with a tenant, and something for all else that it names."""
    return re.sub(r"{[^}]+}", "X", path.replace("{tenant}", tenant))


class TestEveryRoute:
    def test_there_are_routes(self) -> None:
        assert len(routes()) >= 20
        assert ("GET", "/tenants/{tenant}/orders/{reference}") in routes()

    @pytest.mark.parametrize("token", [None, "unknown", SECRET, "acmes-secret"])
    def test_without_a_known_token_it_is_401(self, receiver: Receiver, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answers = {
            (method, path): receiver.client.request(method, filled(path, "acme"), headers=headers)
            for method, path in routes()
        }
        assert {each: answer.status_code for each, answer in answers.items() if answer.status_code != 401} == {}
        assert {answer.text for answer in answers.values()} == {'{"error":"unauthorized"}'}

    @pytest.mark.parametrize("token", [READ_TOKEN, TENANT_TOKEN, "acme-reads", "acme-writes"])
    def test_another_tenant_is_as_one_that_does_not_exist(self, receiver: Receiver, store: Store, token: str) -> None:
        accept(store, webhook("X", tenant="other"))
        fold(store)
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in routes():
            if "{tenant}" not in path:
                continue
            answers = [
                receiver.client.request(method, filled(path, tenant), headers=headers, content=b"{}")
                for tenant in ("other", "nobody")
            ]
            assert answers[0].status_code == 404, (method, path)
            assert answers[0].content == answers[1].content, (method, path)
            assert dict(answers[0].headers).keys() == dict(answers[1].headers).keys()

    @pytest.mark.parametrize("token", [READ_TOKEN, "acme-reads", "acme-writes"])
    def test_what_is_the_operators_is_refused_to_tenants(self, receiver: Receiver, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in routes():
            if path.startswith("/dead-letters"):
                assert receiver.client.request(method, filled(path, ""), headers=headers).status_code == 403, path


class TestConnections:
    def test_three_thousand_silent_and_dawdling_ones_keep_nobody_out(self, receiver: Receiver) -> None:
        with contextlib.ExitStack() as stack:
            for n in range(3_000):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=5))
                if n % 2:
                    connection.sendall(b"POST /webhooks/gelato HTTP/1.1\r\nHost: x\r\nX-")
            took = []
            for n in range(50):
                began = time.perf_counter()
                assert receiver.post(order_status(id=n)).status_code == 200
                took.append(time.perf_counter() - began)
            assert sorted(took)[25] < 0.25
        assert receiver.get("/healthz").status_code == 200

    @pytest.mark.parametrize(
        "what", ["nothing", "line breaks", "line breaks after an answer", "headers", "body", "body of a webhook"]
    )
    def test_a_dawdler_is_let_go_at_its_deadline(self, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "HEADERS_SECONDS", 0.3)
        monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
        head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        sent = {
            "nothing": b"",
            "line breaks": b"\r\n",
            "line breaks after an answer": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "headers": head % b"/",
            "body": head % b"/" + b"\r\n{",
            "body of a webhook": head % b"/webhooks/gelato" + b"\r\n{",
        }[what]
        with served() as port, socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            began = time.monotonic()
            connection.sendall(sent)
            received = b""
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < began + 4:
                    connection.settimeout(0.1)
                    try:
                        part = connection.recv(65536)
                    except TimeoutError:
                        if what != "nothing":
                            # A byte now and then does not help.
                            connection.sendall(b"\r\n" if what.startswith("line") else b"x")
                        continue
                    if not part:
                        break
                    received += part
            assert 0.2 < time.monotonic() - began < 3
        answered = b"HTTP/1.1 200" if what == "line breaks after an answer" else b"HTTP/1.1 408"
        assert received[:12] in (b"", answered)

    @pytest.mark.parametrize("way", ["usual", "short"])
    def test_it_is_closed_when_no_other_request_comes_in_time_and_not_before(self, way: str) -> None:
        with served(keep_alive=2.0) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            # An answer that takes longer than that; then a request while the clock of the one before still runs.
            for seconds in (0.0, 2.5, 0.0):
                time.sleep(0.5)
                began = time.monotonic()
                connection.sendall(post(way, seconds))
                received = connection.recv(65536)
                while not received.endswith(b"\r\n\r\n{}"):
                    assert received, "closed while it was in use"
                    received += connection.recv(65536)
                assert time.monotonic() - began >= seconds
                assert (b"content-type: application/json" in received) is (way == "short")
            assert connection.recv(65536) == b""
            assert 1.95 < time.monotonic() - began < 6  # by coarse clocks


def post(way: str, seconds: float) -> bytes:
    """A request that `served` answers after so many seconds, by one way or the other."""
    path = {"usual": "/", "short": "/webhooks/gelato"}[way]
    body = str(seconds)
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class _Waiting:
    """Webhooks that are answered as late as they say, by the short way."""

    direct_bytes = 10_000

    @staticmethod
    def tenant_at(path: bytes) -> str | None:
        return DEFAULT_TENANT if path == b"/webhooks/gelato" else None

    @staticmethod
    def may_post(*_: object) -> bool:
        return True

    @staticmethod
    def take(tenant: str, body: bytes, received: int, start: float, reply: Callable[..., None]) -> bool:
        asyncio.get_running_loop().call_later(float(body), reply, 200, b"{}")
        return True

    @staticmethod
    def cut_off(*_: object) -> None:
        pass


@contextlib.contextmanager
def served(keep_alive: float = 5) -> Iterator[int]:
    """An application under the receiver's protocol that waits for whole bodies; its port."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await asyncio.sleep(float(body or 0))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    app.webhooks = _Waiting()  # type: ignore[attr-defined]
    port = free_port()
    # Proxies' headers would wrap the application, and nothing would go the short way.
    options: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False, "proxy_headers": False}
    config = uvicorn.Config(app, port=port, http=DirectProtocol, **options)
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    eventually(lambda: server.started, what="the server to listen")
    yield port
    server.should_exit = True
    thread.join(5)


class TestSecrets:
    def test_an_unknown_tenant_and_one_without_a_secret_are_compared_as_a_known_one_is(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "tenants.toml"
        file.write_text(TENANTS + "\n[mute]\nread_tokens = ['r']\n")
        access = Access(load(Settings.from_environment({"GELATO_TENANTS_FILE": str(file)})))
        compared: list[tuple[bytes, bytes]] = []
        real = hmac.compare_digest

        def counted(one: Any, other: Any) -> bool:
            compared.append((one, other))
            return real(one, other)

        monkeypatch.setattr("receiver.access.hmac.compare_digest", counted)
        counts = []
        for tenant in ("acme", "nobody", "mute"):
            compared.clear()
            assert not access.may_post(tenant, [(b"x-webhook-secret", b"wrong")])
            counts.append([(len(one), len(other)) for one, other in compared])
        assert counts == [[(32, 32)]] * 3

    def test_no_secret_is_in_a_process_title(self, server: Server, start: Callable[..., Process]) -> None:
        server.client.execute_command("ACL SETUSER titled on >hunter2 ~* &* +@all")
        url = server.url.replace("unix://", "unix://titled:hunter2@")
        workers = start("worker", "--processes", "2", REDIS_URL=url, RQ_REDIS_URL=url)
        receivers = start("receiver", "--processes", "2", REDIS_URL=url, PORT=str(free_port()))
        secrets = [SECRET, OPS_TOKEN, READ_TOKEN, TENANT_TOKEN, "hunter2"]

        def titles() -> list[bytes] | None:
            pids = [each.pid for each in (workers, receivers)]
            try:
                for pid in list(pids):
                    pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
                found = [Path(f"/proc/{pid}/{name}").read_bytes() for pid in pids for name in ("cmdline", "comm")]
            except FileNotFoundError:  # a child that has ended meanwhile
                return None
            return found if len(pids) >= 6 else None

        shown = b"".join(eventually(titles, what="all processes"))
        assert b"receiver" in shown
        assert not any(secret.encode() in shown for secret in secrets)

    def test_reloading_again_and_again_under_load_loses_no_request(self, env: dict[str, str], tmp_path: Path) -> None:
        file = tmp_path / "tenants.toml"
        file.write_text(TENANTS)
        receiver = Receiver({**env, "GELATO_TENANTS_FILE": str(file)}, tmp_path / "reloaded.log").start()
        statuses: list[int] = []
        enough = threading.Event()

        def post(offset: int) -> None:
            n = offset
            while not enough.is_set():
                statuses.append(receiver.post(order_status(id=n), tenant="acme", secret="acmes-secret").status_code)
                n += 10

        posters = [threading.Thread(target=post, args=(offset,)) for offset in range(4)]
        try:
            for poster in posters:
                poster.start()
            for n in range(8):
                file.write_text(TENANTS + f"\n[tenant-{n}]\nsecret = 's-{n}'\n")
                receiver.send(signal.SIGHUP)
                known = f"tenant-{n}", f"s-{n}"
                eventually(
                    lambda known=known: receiver.post(order_status(), tenant=known[0], secret=known[1]).is_success
                )
        finally:
            enough.set()
            for poster in posters:
                poster.join(10)
            receiver.stop()
        assert len(statuses) > 20
        assert set(statuses) == {200}


def test_odd_references_are_in_no_metric(receiver: Receiver, store: Store) -> None:
    odd = ["a{b}", '"quoted"', "line\nbreak", "nul\x00", "\u202ertl", "🥨" * 255, "<script>"]
    for reference in odd:
        assert receiver.post(order_status(orderReferenceId=reference)).json()["result"] == "accepted"
        receiver.get(f"/orders/{quote(reference, safe='')}")
        receiver.post(order_status(orderReferenceId=reference), tenant="unknown-\u202etenant")
        receiver.post(orjson.dumps({"event": reference}))
    shown = receiver.client.get("/metrics").text
    assert "gelato_" in shown
    assert not any(reference in shown for reference in [*odd, "quoted", "rtl", "🥨", "script"])
