"""The users of `deploy/valkey/users.acl`, at a real server: each can do its work, the reader can read, and no more.

`ACL_TABLE=write pytest tests/integration/deploy/test_acl.py` puts the table of what each may do into docs/reference/acl.md.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.exceptions import NoPermissionError, RedisError
from support.commands import run_command
from support.deployed import USERS, Deployed
from support.polling import eventually
from support.processes import ROOT, Process, Receiver, environment, fixture

from gelato_rollup import Reader
from shared.store import keys, scripts

PAGE = ROOT / "docs" / "reference" / "acl.md"
ORDER = "default/83831IAKD2"
DOCUMENT, STATE, LOG, META = keys.of_order(ORDER)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    server = Deployed(tmp_path_factory.mktemp("deployed"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def service(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver and a worker, each as its own user, with one order folded."""
    directory = tmp_path_factory.mktemp("service")
    receiver = Receiver(as_user(deployed, "receiver", directory), directory / "receiver.log")
    worker = Process(["worker"], as_user(deployed, "worker", directory), directory / "worker.log")
    deployed.client.acl_log_reset()
    try:
        worker.start()
        receiver.start()
        for path in sorted((ROOT / "tests" / "fixtures").glob("*Status-os_*.json")):
            secret = deployed.environment("receiver")["GELATO_WEBHOOK_SECRET"]
            assert receiver.post(fixture(path.name), secret=secret).status_code == 200
        eventually(lambda: b'"passed"' in (deployed.client.get(DOCUMENT) or b""), what="the document")
        yield receiver
    finally:
        receiver.stop()
        worker.kill()


def as_user(deployed: Deployed, user: str, directory: Path) -> dict[str, str]:
    """The environment of a process that connects as a user, and has only that user's secrets."""
    bare = environment("", directory / f"{user}-data")
    return {name: bare[name] for name in bare if not name.startswith("GELATO_")} | {
        "GELATO_DATA_DIR": bare["GELATO_DATA_DIR"],
        **deployed.environment(user),
    }


def refusals(deployed: Deployed) -> set[tuple[str, str]]:
    """What was refused since the log was emptied: (user, command or key)."""
    return {(entry["username"], entry["object"]) for entry in deployed.client.acl_log()}


def test_receiver_worker_and_operator_do_their_work_and_are_refused_nothing_that_it_needs(
    deployed: Deployed, service: Receiver, tmp_path: Path
) -> None:
    operator = as_user(deployed, "operator", tmp_path)
    played = run_command(
        ("simulate", "--orders", "12", "--rate", "0", "--url", service.base, "--json"), operator, tmp_path
    )
    assert played.returncode == 0, played.stdout + played.stderr
    token = operator["GELATO_OPS_TOKEN"]
    assert service.get("/orders/83831IAKD2", token).json()["status"] == "passed"
    assert service.get("/orders?q=poster-13x18", token).status_code == 200
    assert service.get("/dead-letters", token).status_code == 200
    metrics = service.get("/metrics", operator["GELATO_METRICS_TOKEN"]).text
    assert re.search(r"^gelato_workers 1(\.0)?$", metrics, re.MULTILINE)
    ready = service.get("/readyz").json()
    assert ready["where"] == "redis"
    assert any("this user may not ask" in warning for warning in ready["warnings"])
    examined = run_command(("doctor", "--json"), operator | {"PORT": str(service.port)}, tmp_path)
    found = {(row["check"], row["level"]): row["what"] for row in orjson.loads(examined.stdout)}
    assert examined.returncode == 0, examined.stdout
    assert "append-only file, synced before each answer" in examined.stdout
    assert not [what for (_, level), what in found.items() if level == "error"]
    for words in ("orders list", "orders show 83831IAKD2", "dead-letters list", "orders rebuild --all"):
        done = run_command(tuple(words.split()), operator, tmp_path)
        assert done.returncode == 0, words + done.stderr
    erased = run_command(("orders", "erase", "83831IAKD2", "--yes"), operator, tmp_path)
    assert erased.returncode == 0, erased.stderr
    # CONFIG shows other secrets of the server: the services do without.
    assert refusals(deployed) <= {("receiver", "config|get"), ("worker", "config|get")}


def used_by_the_code() -> set[str]:
    """Every command that the store's operations and scripts name, as access control names it."""
    found = {
        command.lower()
        for script in vars(scripts).values()
        if isinstance(script, scripts.Script)
        for command in re.findall(r"redis\.call\(\s*'(\w+)'", script.text)
    }
    for path in (ROOT / "shared" / "store").glob("*.py"):
        found |= {name.lower() for name in re.findall(r"(?:Call|one)\(\s*\"([A-Z ]+)\"", path.read_text())}
    return {name.replace(" ", "|") for name in found}


#: What only some do: the operator asks what the server promises and rewrites its file; shifts take what they are handed;
#: readers follow changes.
OF_SOME = {
    "receiver": {"config|get", "bgrewriteaof", "lpop"},
    "worker": {"config|get", "bgrewriteaof"},
    "operator": {"lpop"},
}
OF_READERS = {"xack", "xautoclaim", "xgroup|create", "xreadgroup", "xinfo|groups", "xinfo|stream"}


@pytest.mark.parametrize("user", list(OF_SOME))
def test_every_command_that_the_code_names_is_allowed_to_the_services(deployed: Deployed, user: str) -> None:
    used = used_by_the_code()
    assert len(used) > 50
    (line,) = re.findall(rf"^user {user} .*", (deployed.secrets / "users.acl").read_text(), re.MULTILINE)
    allowed = set(re.findall(r"\+(\S+)", line))
    assert used - allowed <= OF_SOME[user] | (OF_READERS if user != "operator" else set())


def every_command(deployed: Deployed) -> Iterator[tuple[str, list[str]]]:
    """Each command and subcommand of the server, with words that name a key that is not downstream's."""
    sensible = {
        "xread": ["XREAD", "STREAMS", STATE, "0"],
        "xreadgroup": ["XREADGROUP", "GROUP", "g", "c", "STREAMS", STATE, ">"],
    }
    connection: Any = deployed.client.connection_pool.make_connection()
    connection.send_command("COMMAND")
    for row in connection.read_response():
        for name, arity, *_ in row[9] or [row]:  # a container has subcommands
            words = name.decode().split("|")
            yield name.decode(), sensible.get(name.decode(), [*words, *[STATE] * (abs(arity) - len(words))])
    connection.disconnect()


#: What every user may say on its connection; none of it shows or changes anything that is stored.
CONNECTION = {"hello", "auth", "ping", "select", "reset", "quit", "client|setinfo", "client|setname", "client|id"}
CONNECTION |= {"cluster|slots", "cluster|shards", "cluster|nodes", "asking", "readonly"}
CONNECTION |= {f"command|{what}" for what in ("count", "docs", "getkeys", "getkeysandflags", "help", "info", "list")}


def allowed(deployed: Deployed, user: str, words: list[str]) -> bool:
    """Whether a server carries a command out for a user, or would if its words made sense."""
    with deployed.as_user(user) as client:
        connection: Any = client.connection_pool.make_connection()
        try:
            connection.send_command(*words)
            connection.read_response()
        except RedisError as error:
            # EXEC wraps a refusal; DEBUG and MODULE are not allowed to anybody.
            return not (
                isinstance(error, NoPermissionError) or re.search(r"NOPERM|no permissions|not allowed", str(error))
            )
        finally:
            connection.disconnect()
    return True


@pytest.mark.parametrize("user", ["reader", "follower"])
def test_of_all_the_servers_commands_a_reader_can_use_none_on_a_key_that_is_not_downstreams(
    deployed: Deployed, user: str
) -> None:
    answered, asked = set(), 0
    for name, words in every_command(deployed):
        asked += 1
        if allowed(deployed, user, words):
            answered.add(name)
    assert asked > 300
    assert answered <= CONNECTION
    assert {"ping", "hello"} <= answered


def test_the_reader_reads_documents_and_follows_changes_and_a_follower_catches_up(
    deployed: Deployed, service: Receiver
) -> None:
    secret = deployed.environment("receiver")["GELATO_WEBHOOK_SECRET"]
    event = orjson.loads(fixture("itemStatus-os_3193599925.json"))
    with Reader(deployed.url_of("reader")) as reader:
        deployed.as_user("reader").xgroup_create(keys.CHANGES, "shipping", "$", mkstream=True)
        assert service.post(event | {"orderReferenceId": "READ-1", "id": "read-1"}, secret=secret).status_code == 200
        change = next(change for change in reader.watch("shipping", "one") if change["orderReferenceId"] == "READ-1")
        assert change["status"] == "passed"
        document = reader.get("READ-1")
        assert document is not None
        assert document["status"] == "passed"
    # A group that stands where the stream was trimmed: what it missed is asked for by time.
    deployed.client.xgroup_create(keys.CHANGES, "late", "1-1")
    deployed.client.xtrim(keys.CHANGES, maxlen=0, approximate=False)
    with Reader(deployed.url_of("follower")) as follower:
        assert next(follower.watch("late", "one"))["previousStatus"] is None


#: What the table asks, by what it shows.
PROBES: dict[str, list[str]] = {
    "a document": ["GET", DOCUMENT],
    "several documents": ["MGET", DOCUMENT, keys.document_key("default", "other")],
    "whether there is one": ["EXISTS", DOCUMENT],
    "write a document": ["SET", keys.document_key("default", "none"), "{}", "XX"],
    "delete a document": ["DEL", keys.document_key("default", "none")],
    "make it expire": ["EXPIRE", keys.document_key("default", "none"), "1"],
    "read changes": ["XREAD", "COUNT", "1", "STREAMS", keys.CHANGES, "0"],
    "make a consumer group": ["XGROUP", "CREATE", keys.CHANGES, "of-the-table", "$", "MKSTREAM"],
    "read as a group": ["XREADGROUP", "GROUP", "of-the-table", "c", "COUNT", "1", "STREAMS", keys.CHANGES, ">"],
    "acknowledge": ["XACK", keys.CHANGES, "of-the-table", "1-1"],
    "take over from a dead consumer": ["XAUTOCLAIM", keys.CHANGES, "of-the-table", "c", "60000", "0", "COUNT", "1"],
    "a group on a document": ["XGROUP", "CREATE", keys.document_key("default", "none"), "of-the-table", "$"],
    "read another stream as a group": ["XREADGROUP", "GROUP", "of-the-table", "c", "STREAMS", "elsewhere", ">"],
    "acknowledge there": ["XACK", "elsewhere", "of-the-table", "1-1"],
    "end a group": ["XGROUP", "DESTROY", keys.CHANGES, "none"],
    "write a change": ["XADD", keys.CHANGES, "NOMKSTREAM", "1-1", "status", "forged"],
    "delete a change": ["XDEL", keys.CHANGES, "1-1"],
    "trim the stream": ["XTRIM", keys.CHANGES, "MAXLEN", "~", "10000000"],
    "which orders changed": ["ZRANGEBYSCORE", keys.index("default"), "0", "+inf", "LIMIT", "0", "1"],
    "the raw events of an order": ["LRANGE", LOG, "0", "0"],
    "an order's state": ["GET", STATE],
    "a dead letter": ["HGETALL", keys.dead_letter("none")],
    "copy events to a readable name": ["COPY", LOG, keys.document_key("default", "copy")],
    "rename": ["RENAME", keys.document_key("default", "none"), "mine"],
    "a key of another program": ["GET", "session:1"],
    "a script": ["EVAL", "return 1", "0"],
    "a script on events": ["EVAL", "return redis.call('LLEN', KEYS[1])", "1", LOG],
    "a script that hides its key": ["EVAL", f"return redis.call('LLEN', '{LOG}')", "0"],
    "RQ's queue": ["LLEN", "rq:queue:gelato-rollup"],
    "RQ's workers": ["SMEMBERS", "rq:workers"],
    "all names of keys": ["KEYS", "*"],
    "names of keys, bit by bit": ["SCAN", "0"],
    "how the server is": ["INFO", "server"],
    "its settings": ["CONFIG", "GET", "appendfsync"],
    "change a setting": ["CONFIG", "SET", "appendfsync", "always"],
    "all users": ["ACL", "LIST"],
    "everybody's commands": ["MONITOR"],
    "empty the server": ["FLUSHALL"],
    "follow another server": ["REPLICAOF", "NO", "ONE"],
    "code in the server": ["FUNCTION", "LIST"],
}


def table(deployed: Deployed) -> str:
    """What each user may do, asked as that user."""
    lines = [f"| what | command | {' | '.join(USERS)} |", f"|---|---|{'---|' * len(USERS)}"]
    for what, words in PROBES.items():
        answers = ["yes" if allowed(deployed, user, words) else "-" for user in USERS]
        lines.append(f"| {what} | `{' '.join(words)[:90]}` | {' | '.join(answers)} |")
    return "\n".join(lines)


def test_the_page_of_users_shows_what_each_may_do(deployed: Deployed, service: Receiver) -> None:
    made = table(deployed)
    before, _, rest = PAGE.read_text().partition("<!-- table: asked of a server -->\n")
    held, _, after = rest.partition("\n<!-- end of table -->")
    if os.environ.get("ACL_TABLE") == "write":
        PAGE.write_text(f"{before}<!-- table: asked of a server -->\n{made}\n<!-- end of table -->{after}")
        return
    assert held == made, "ACL_TABLE=write writes it anew"


def test_what_the_runbook_does_at_the_server_is_the_admins_alone(deployed: Deployed) -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    steps = re.findall(r"`(?:redis-cli )?((?:config set|info|slowlog|bgrewriteaof)[^`]*)`", runbook)
    assert len(steps) >= 5
    for step in steps:
        deployed.as_user("admin").execute_command(*step.split())
    for user in USERS:
        with pytest.raises(NoPermissionError):
            deployed.as_user(user).execute_command("CONFIG", "SET", "appendfsync", "always")


def test_without_a_users_name_and_password_nothing_is_answered(deployed: Deployed) -> None:
    with deployed.connection("health", "-") as health:
        assert health.ping()
    assert not allowed(deployed, "reader", ["KEYS", "*"])
    for user, password in (("default", ""), ("reader", "wrong"), ("operator", "")):
        with pytest.raises(RedisError), deployed.connection(user, password) as client:
            client.ping()
    for words in (["GET", DOCUMENT], ["INFO"], ["KEYS", "*"]):
        with pytest.raises(NoPermissionError), deployed.connection("health", "-") as health:
            health.execute_command(*words)
