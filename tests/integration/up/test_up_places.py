"""`gelato-rollup up` in odd places, and with settings of one's own."""

import shlex
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from support.polling import eventually
from support.up import REFERENCE, Up, bare_environment, curl_lines, pasted, run

#: Longer than the path of a socket may be.
LONG = "/".join(["a-long-name-of-a-directory"] * 8)


def test_a_data_directory_with_blanks_and_quotes_works_as_pasted(home: Path, start: Callable[..., Up]) -> None:
    up = start(home, bare_environment(GELATO_DATA_DIR='mother\'s "data" $HOME')).ready()
    post, _ = curl_lines(up)
    assert orjson.loads(pasted(up, post).stdout)["result"] == "accepted"
    up.process.terminate()
    assert up.process.wait(10.0) == 0
    up = start(home, up.env).ready()
    post, read = curl_lines(up)
    assert orjson.loads(pasted(up, post).stdout)["result"] in ("accepted", "duplicate")
    eventually(lambda: orjson.loads(pasted(up, read).stdout).get("orderReferenceId"), what="the document")


def test_a_data_directory_longer_than_a_socket_allows_works(home: Path, start: Callable[..., Up]) -> None:
    up = start(home, bare_environment(GELATO_DATA_DIR=LONG)).ready()
    assert len(str(up.data_dir)) > 200
    assert up.post()["result"] == "accepted"
    eventually(up.document, what="the document")
    url = (up.data_dir / "redis-url").read_text().strip()
    place = Path(url.removeprefix("unix://").partition("?")[0]).parent
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert run(home, up.env, "orders", "show", REFERENCE).returncode == 0


def test_a_socket_is_never_put_into_a_directory_that_others_may_enter(home: Path, start: Callable[..., Up]) -> None:
    """A long data directory's socket goes to the temporary directory, where anybody can make its directory first."""
    with tempfile.TemporaryDirectory(prefix="gr-") as temporary:
        env = bare_environment(GELATO_DATA_DIR=LONG, TMPDIR=temporary)
        up = start(home, env).ready()
        url = (up.data_dir / "redis-url").read_text().strip()
        place = Path(url.removeprefix("unix://").partition("?")[0]).parent
        assert place.parent == Path(temporary)
        up.process.terminate()
        assert up.process.wait(10.0) == 0
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        second = start(home, env)
        eventually(lambda: second.process.poll() is not None or second.said(), seconds=30.0, what="a start or refusal")
        assert second.process.poll() == 2 or stat.S_IMODE(place.stat().st_mode) == 0o700


def test_the_line_to_paste_works_while_a_secret_is_rotated(home: Path, start: Callable[..., Up]) -> None:
    up = start(
        home, bare_environment(GELATO_WEBHOOK_SECRET="the-new-one,the-old-one", GELATO_OPS_TOKEN="a-token")
    ).ready()
    (post, *_) = curl_lines(up)
    assert orjson.loads(pasted(up, post).stdout).get("result") == "accepted"
    assert "the-old-one" not in up.said()


def test_the_urls_are_usable_on_an_ipv6_host(home: Path, start: Callable[..., Up]) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    up = start(home, bare_environment(HOST="::1"))
    eventually(lambda: "worker started" in up.complained(), seconds=30.0, what="the worker to start")
    (post, *_) = curl_lines(up)
    assert f"http://[::1]:{up.env['PORT']}/" in post
    eventually(lambda: orjson.loads(pasted(up, post).stdout)["result"], what="an answer")


def test_a_data_directory_that_cannot_be_made_is_refused_and_named(home: Path) -> None:
    (home / "var").write_text("a file")
    answer = run(home, bare_environment(), "up")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("gelato-rollup: GELATO_DATA_DIR: ")
    assert shlex.quote(str(home / "var")) in line
