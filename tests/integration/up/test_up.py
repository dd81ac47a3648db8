"""`gelato-rollup up`: everything in an empty directory, one command; what it makes, what it says, who finds it."""

import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
import redis
from support.polling import eventually
from support.processes import free_port
from support.up import REFERENCE, Up, bare_environment, curl_lines, pasted, run, secrets_of


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `up` for all tests that only look at it, on its first start."""
    directory = tmp_path_factory.mktemp("running") / "home"
    directory.mkdir()
    up = Up(directory, bare_environment())
    try:
        yield up.ready()
    finally:
        up.kill()


def test_secrets_and_data_are_for_their_owners_eyes_only(running: Up) -> None:
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700
    for name in ("webhook-secret", "ops-token"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o600
    assert all(len(secret) >= 32 for secret in secrets_of(running))
    assert len(set(secrets_of(running))) == 2


def test_the_first_start_prints_the_secrets_it_made(running: Up) -> None:
    assert all(secret in running.said() for secret in secrets_of(running))
    assert not any(secret in running.complained() for secret in secrets_of(running))


def test_the_line_to_paste_of_a_first_start_posts_an_event_and_the_next_one_reads_its_order(running: Up) -> None:
    post, read = curl_lines(running)
    assert secrets_of(running)[0] in post
    answer = pasted(running, post)
    assert answer.returncode == 0, answer.stderr
    assert orjson.loads(answer.stdout)["result"] in ("accepted", "duplicate")
    eventually(lambda: running.document("MY-1"), what="the document")
    assert orjson.loads(pasted(running, read).stdout)["orderReferenceId"] == "MY-1"


def test_no_process_of_up_listens_on_the_network_but_the_receiver(running: Up) -> None:
    url = (running.data_dir / "redis-url").read_text().strip()
    assert url.startswith("unix://")
    client = redis.Redis.from_url(url, protocol=2)
    assert client.config_get("port") == {"port": "0"}
    assert client.config_get("appendfsync") == {"appendfsync": "always"}
    client.close()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_other_commands_find_the_embedded_server(running: Up, tmp_path: Path, elsewhere: bool) -> None:
    running.post()
    eventually(running.document, what="the document")
    env = dict(running.env)
    if elsewhere:
        env["GELATO_DATA_DIR"] = str(running.data_dir)
    directory = tmp_path if elsewhere else running.directory
    shown = run(directory, env, "orders", "show", REFERENCE)
    assert shown.returncode == 0, shown.stderr
    assert "poster-13x18" in shown.stdout
    config = run(directory, env, "config", "--json")
    assert config.returncode == 0
    assert "valkey.sock" in orjson.loads(config.stdout)["dataServer"]
    assert not any(secret in config.stdout for secret in secrets_of(running))
    simulated = run(directory, env, "simulate", "--orders", "5", "--json")
    assert simulated.returncode == 0, simulated.stdout + simulated.stderr
    assert orjson.loads(simulated.stdout)["ok"] is True


def test_a_second_up_on_the_same_directory_is_refused(running: Up) -> None:
    second = run(running.directory, running.env | {"PORT": str(free_port())}, "up")
    assert second.returncode == 2
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert "another `gelato-rollup up` runs on" in line
    assert str(running.data_dir) in line
    assert run(running.directory, running.env, "orders", "list").returncode == 0  # the first one is none the worse


def test_a_taken_port_is_refused_and_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run(home, bare_environment(PORT=str(port)), "up")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "PORT" in line


def test_secrets_are_still_shown_once_after_a_first_start_that_found_its_port_taken(
    home: Path, start: Callable[..., Up]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(home, bare_environment(PORT=str(taken.getsockname()[1])), "up").returncode == 2
    up = start(home, bare_environment()).ready()
    assert all(secret in up.said() for secret in secrets_of(up))
