"""The tutorial and the README's example, followed as they stand: what is typed and what must come are the page's."""

import re
import stat
import sys
from collections.abc import Iterator
from itertools import zip_longest

import pytest
from support.polling import eventually
from support.processes import ROOT
from support.up import Up, bare_environment, pasted

#: A block of shell, fenced or indented, and the indented block right behind it, which is what it prints.
FENCED = re.compile(r"^```sh\n((?:[^`\n]*\n)+?)```\n(?:\n((?: {4}.*\n)+))?", re.MULTILINE)
INDENTED = re.compile(
    r"^((?: {4}(?:for|curl|\.venv/bin)\b.*\n)(?: {4}.*\n)*)(?:\n((?: {4}[^\s.].*\n)(?: {4}.*\n)*))?", re.MULTILINE
)
#: What is another each time.
MOMENT, VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), re.compile(r"  v\d+, ")


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`up` in a directory with what a checkout has."""
    home = tmp_path_factory.mktemp("newcomer") / "home"
    program = home / ".venv" / "bin" / "gelato-rollup"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m ops "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (home / "tests").symlink_to(ROOT / "tests")
    up = Up(home, bare_environment())
    try:
        yield up.ready()
    finally:
        up.kill()


@pytest.mark.parametrize(
    ("page", "blocks", "at_least"),
    [("docs/tutorial.md", FENCED, 5), ("README.md", INDENTED, 4)],
    ids=["tutorial", "README"],
)
def test_what_a_page_has_typed_prints_what_it_says(
    newcomer: Up, page: str, blocks: re.Pattern[str], at_least: int
) -> None:
    found = [each for each in blocks.findall((ROOT / page).read_text()) if " simulate " not in each[0]]
    assert len(found) >= at_least
    assert sum(bool(printed) for _, printed in found) >= 2
    for typed, printed in found:
        line = typed.replace("127.0.0.1:8000", f"127.0.0.1:{newcomer.env['PORT']}")
        if " -d " in typed:
            came(newcomer, line, printed)
        else:
            # What was posted is folded some milliseconds later; nobody types as fast as this.
            eventually(lambda line=line, printed=printed: came(newcomer, line, printed) or True, what=page)


def came(newcomer: Up, typed: str, printed: str) -> None:
    """What came is what the page says: of more lines than it shows, the first."""
    done = pasted(newcomer, typed)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout
    shown = [line.removeprefix("    ") for line in printed.splitlines() if line.strip()]
    for expected, line in zip_longest(shown, done.stdout.splitlines()[: len(shown)]):
        pattern = ".*".join(re.escape(part) for part in usual(expected).split("..."))
        assert re.fullmatch(pattern, usual(line or "")), f"{typed}\n{done.stdout}"


def usual(line: str) -> str:
    """A line without what is another each time."""
    return VERSION.sub("  v1, ", MOMENT.sub("then", line)).rstrip()
