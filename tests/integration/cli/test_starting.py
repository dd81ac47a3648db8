"""The command line with settings, files and servers that are broken or away: one clear line, nothing secret."""

import socket
from pathlib import Path

import orjson
import pytest
from support.commands import Gelato, one_line
from support.polling import eventually
from support.processes import Process, free_port


def test_a_receiver_without_secrets_refuses_to_start_and_says_how_to_set_them(gelato: Gelato) -> None:
    line = one_line(gelato("receiver", GELATO_WEBHOOK_SECRET="", GELATO_OPS_TOKEN="", PORT=str(free_port())), 2)
    assert "GELATO_WEBHOOK_SECRET" in line
    assert "GELATO_OPS_TOKEN" in line
    assert "secrets.token_urlsafe" in line


@pytest.mark.parametrize("command", ["receiver", "up", "worker", "orders list", "simulate --orders 1"])
def test_a_setting_that_is_no_number_is_named(gelato: Gelato, command: str) -> None:
    assert "PORT: must be a number" in one_line(gelato(*command.split(), PORT="abc"), 2)


def test_doctor_makes_a_finding_of_a_broken_setting(gelato: Gelato) -> None:
    answer = gelato("doctor", "--json", PORT="abc")
    assert answer.returncode in (1, 2)
    assert "PORT: must be a number" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


def test_all_broken_settings_are_named_at_once(gelato: Gelato) -> None:
    line = one_line(gelato("receiver", PORT="abc", LOG_LEVEL="loud", GELATO_RETENTION_DAYS="0"), 2)
    assert all(name in line for name in ("PORT", "LOG_LEVEL", "GELATO_RETENTION_DAYS"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("this is [not TOML", "is not TOML"),
        ("[Acme]\nsecret = 'hunter2'", "[Acme]"),
        ("[acme]\nsecrt = 'hunter2'", "secrt"),
        ("[acme]\nsecret = 7", "secret"),
        ("acme = 'hunter2'", "[acme]"),
        ("[acme]\nsecret = 'hunter2", "is not TOML"),
        ("[acme.api]\nkye = 'hunter2'", "kye"),
    ],
)
def test_a_broken_tenants_file_is_named_and_nothing_of_its_secrets(
    gelato: Gelato, tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text(content)
    line = one_line(gelato("receiver", GELATO_TENANTS_FILE=str(path), PORT=str(free_port())), 2)
    assert "GELATO_TENANTS_FILE" in line
    assert str(path) in line
    assert said in line
    assert "hunter2" not in line
    assert "see docs/reference/configuration.md" in line or "must be" in line or "a tenant's name is" in line


def test_a_tenants_file_that_is_not_there_is_named(gelato: Gelato) -> None:
    line = one_line(gelato("receiver", GELATO_TENANTS_FILE="/no/such"), 2)
    assert "GELATO_TENANTS_FILE: /no/such" in line
    assert "see docs/reference/configuration.md" in line


@pytest.mark.parametrize("command", ["receiver", "up"])
def test_a_taken_port_is_named_with_what_to_do(gelato: Gelato, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = one_line(gelato(command, PORT=str(port)), 2)
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "set HOST or PORT to another" in line


@pytest.mark.parametrize("command", ["receiver", "worker", "orders list", "simulate --orders 1"])
def test_a_redis_url_of_an_unknown_scheme_is_refused_and_named(gelato: Gelato, command: str) -> None:
    line = one_line(gelato(*command.split(), REDIS_URL="ftp://user:hunter2@host/", PORT=str(free_port())), 2)
    assert "REDIS_URL" in line
    assert "hunter2" not in line


def test_a_broken_url_of_rqs_server_stops_a_worker_at_once_and_is_named(env: dict[str, str], tmp_path: Path) -> None:
    worker = Process(["worker"], env | {"RQ_REDIS_URL": "ftp://user:hunter2@host/"}, tmp_path / "worker.log").start()
    try:
        assert eventually(lambda: worker.process and worker.process.poll(), what="the worker to end") == 2
    finally:
        worker.kill()
    assert "RQ_REDIS_URL" in worker.log.read_text()
    assert "hunter2" not in worker.log.read_text()


def test_several_workers_with_a_broken_setting_end_as_one_does(env: dict[str, str], tmp_path: Path) -> None:
    workers = Process(["worker", "--processes", "2"], env | {"REDIS_URL": "ftp://host/"}, tmp_path / "worker.log")
    workers.start()
    try:
        assert eventually(lambda: workers.process and workers.process.poll(), what="them to end") == 2
    finally:
        workers.terminate()


# Nothing secret


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@127.0.0.1:1/0",
        "redis://:hunter2@127.0.0.1:port/0",
        "redis://user:hunter2/more@127.0.0.1:1/0",  # a password with a character that had to be escaped
        "redis://user:hunter2#more@127.0.0.1:1/0",
        "redis://user:hunter2?more@127.0.0.1:1/0",
        "redis://user:hunter2@[::1/0",
        "redis://user:hunter2\u2100@127.0.0.1:1/0",
        "redis+cluster://user:hunter2/more@127.0.0.1:1",
        "redis+sentinel://user:hunter2/more@127.0.0.1:1/service",
        "unix://user:hunter2@/no/such/socket?db=0",
        "redis://127.0.0.1:1/0?password=hunter2",
        "hunter2",
    ],
)
def test_a_password_in_a_url_is_never_shown_however_broken_the_url(gelato: Gelato, url: str) -> None:
    for command in ("config", "config --json", "orders list"):
        answer = gelato(*command.split(), REDIS_URL=url)
        assert "hunter2" not in answer.stdout + answer.stderr, f"{command}: {answer.stdout}{answer.stderr}"
        assert "Traceback" not in answer.stderr, f"{command}: {answer.stderr}"
        assert answer.returncode in ((0, 2) if command.startswith("config") else (1, 2))


@pytest.mark.parametrize("broken", [{}, {"PORT": "abc"}, {"GELATO_TENANTS_FILE": "/no/such/file"}])
def test_config_masks_every_secret_also_of_a_broken_configuration(gelato: Gelato, broken: dict[str, str]) -> None:
    secret = {
        "GELATO_WEBHOOK_SECRET": "hunter2,hunter22",
        "GELATO_READ_TOKEN": "hunter23",
        "GELATO_TENANT_TOKEN": "hunter24",
        "GELATO_OPS_TOKEN": "hunter25",
        "GELATO_METRICS_TOKEN": "hunter26",
        "REDIS_URL": "redis://somebody:hunter27@127.0.0.1:1/0",
        "RQ_REDIS_URL": "redis://:hunter28@127.0.0.1:1/1",
    }
    for arguments in (("config",), ("config", "--json")):
        answer = gelato(*arguments, **secret, **broken)
        assert "hunter2" not in answer.stdout + answer.stderr
        assert answer.returncode == (2 if broken else 0)
    shown = orjson.loads(answer.stdout)
    values = {row["variable"]: row for row in shown["settings"]}
    assert values["GELATO_WEBHOOK_SECRET"]["value"] == "********, ********"
    assert values["REDIS_URL"]["value"] == "redis://somebody:********@127.0.0.1:1/0"
    assert values["GELATO_OPS_TOKEN"] | {"about": ""} == {
        "variable": "GELATO_OPS_TOKEN",
        "value": "********",
        "from": "environment",
        "about": "",
    }
    for name in broken:
        assert name in shown["problem"]
        assert name in answer.stderr


# A server that is away


@pytest.mark.parametrize(
    "command",
    [
        "orders show X",
        "orders list",
        "orders events X",
        "orders watch",
        "orders rebuild X",
        "orders rebuild --all",
        "orders close X",
        "orders erase X --yes",
        "simulate --orders 1",
    ],
)
def test_a_server_that_is_away_is_told_in_one_line(gelato: Gelato, command: str) -> None:
    line = one_line(gelato(*command.split(), REDIS_URL="redis://:hunter2@127.0.0.1:1/0"), 1)
    assert "127.0.0.1:1" in line
    assert "is it running?" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["redis+cluster://:hunter2@127.0.0.1:1", "unix:///no/such/socket"])
@pytest.mark.parametrize("command", ["orders list", "simulate --orders 1"])
def test_any_kind_of_server_that_is_away_is_told_in_one_line(gelato: Gelato, command: str, url: str) -> None:
    assert "hunter2" not in one_line(gelato(*command.split(), REDIS_URL=url), 1)
