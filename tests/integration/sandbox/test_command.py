"""`gelato-rollup sandbox` as a process: what it says, whose orders it takes, how it ends."""

import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import httpx
from support.polling import eventually
from support.processes import Process, free_port

from ops.sandbox import SandboxClient

Start = Callable[..., Process]
GELATO = (sys.executable, "-m", "ops", "sandbox")


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*GELATO, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_its_customers_are_the_tenants_of_the_file_that_it_printed(
    env: dict[str, str], start: Start, tmp_path: Path
) -> None:
    port = free_port()
    printed = run(env, "--port", str(port), "--print-tenants").stdout
    (tmp_path / "tenants.toml").write_text(printed)
    acme = tomllib.loads(printed)["acme"]
    process = start("sandbox", "--port", str(port), GELATO_TENANTS_FILE=str(tmp_path / "tenants.toml"))
    with SandboxClient(f"http://127.0.0.1:{port}") as sandbox:
        eventually(sandbox.counts, seconds=60, what="the sandbox to answer")
        headers = {"X-API-KEY": acme["api"]["key"], "Customer-Reference-ID": acme["customer_reference"]}
        body = {"orderReferenceId": "R-1", "items": [{"itemReferenceId": "mug", "productUid": "mug_x"}]}
        answer = httpx.post(acme["api"]["submit_url"], json=body, headers=headers, trust_env=False)
        assert answer.status_code == 200
        assert [truth["tenant"] for truth in sandbox.truths()] == ["acme"]
        page = httpx.get(f"{sandbox.base}/", trust_env=False).text
        assert answer.json()["id"] in page
    said = process.log.read_text()
    assert f"http://127.0.0.1:{port}/v4/orders" in said
    assert acme["api"]["get_url"] in said
    assert "webhooks to http://127.0.0.1:8000/webhooks/gelato/acme" in said
    assert acme["secrets"][0] not in said
    assert process.terminate() == 0


def test_without_tenants_it_is_the_order_api_of_the_default_one(env: dict[str, str], start: Start) -> None:
    port = free_port()
    process = start(
        "sandbox", "--port", str(port), "--webhook-url", "http://127.0.0.1:9/webhooks/gelato", "--seed", "3"
    )
    with SandboxClient(f"http://127.0.0.1:{port}") as sandbox:
        eventually(sandbox.counts, seconds=60, what="the sandbox to answer")
        assert sandbox.make_orders(2) == ["SB-3-0", "SB-3-1"]
        assert {truth["tenant"] for truth in sandbox.truths()} == {"default"}
    assert "--print-tenants > tenants.toml" in process.log.read_text()
    assert process.terminate() == 0


def test_it_listens_on_loopback_alone(env: dict[str, str], start: Start) -> None:
    port = free_port()
    start("sandbox", "--port", str(port))
    eventually(lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True, seconds=60)
    addresses = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [each for each in addresses if each.endswith(f":{port:04X}") and not each.startswith("0100007F")] == []


def test_what_it_cannot_play_is_a_configuration_error(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, word in (
            (("--port", port), "cannot listen"),
            (("--lose", "2"), "chances"),
            (("--speed", "0"), "speed"),
            (("--webhook-url", "gopher://x"), "--webhook-url"),
        ):
            result = run(env, "--port", "0", *arguments)
            assert result.returncode == 2
            assert word in result.stderr
