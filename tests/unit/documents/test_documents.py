"""What the documents say is what the code does: links, commands, settings, routes, and pages made from it."""

import ast
import functools
import inspect
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import orjson
import pytest

from ops import reference
from ops.cli import main
from receiver.app import create_app
from shared import tenants
from shared.settings import Settings
from shared.store import keys

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("deploy/**/*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
NAMES = {str(page.relative_to(ROOT)): page for page in PAGES}
on_each_page = pytest.mark.parametrize("page", NAMES.values(), ids=NAMES)

FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
#: What the first line of a block of shell begins with.
TOOL = re.compile(
    r"^ *(?:\w+=\S* )*(?:sudo|docker|kubectl|curl|for|make|export|cd|echo|redis-cli|valkey-cli|deploy/|\.venv/bin/|"
    r"gelato-rollup|python3|ssh|rq)\b"
)
#: Variables of tests and of make, which are no settings.
NO_SETTINGS = {"GELATO_ROLLUP"}


def fenced(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in these languages."""
    return [block for _, language, block in FENCED.findall(page.read_text()) if language in languages]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `gelato-rollup ...` that stands in code, up to where the shell takes over."""
    code = [block for _, language, block in FENCED.findall(text) if language in ("", "sh", "bash", "console", "text")]
    code += re.findall(r"(?<!`)`([^`]+)`(?!`)", FENCED.sub("", text))
    code += re.findall(r"^ {4}(\S.*)$", FENCED.sub("", text), re.MULTILINE)
    for block in code:
        for line in block.replace("\\\n", " ").splitlines():
            if said := re.search(r"(?:^|[ /$(])gelato-rollup (?=[a-z-])(.+)", line):
                yield words(said[1])


def words(line: str) -> list[str]:
    """A line's words, without what the shell or a reader takes away: redirections, comments, placeholders in brackets."""
    line = re.split(r" [|>&;#]|[;)]|  \S*—|\.\.\.|…", line)[0]
    try:
        return [word for word in shlex.split(line) if not word.startswith("[")]
    except ValueError:
        return shlex.split(line.replace("'", " ").replace('"', " "))


@functools.cache
def routes() -> list[str]:
    """Patterns of the paths that this service has."""
    paths = [route.path for route in create_app(Settings(webhook_secrets=())).app.routes]  # type: ignore[attr-defined]
    return [re.sub(r"\\\{\w+(:\w+)?\\\}", "[^/]+", re.escape(path)) for path in paths]


@on_each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = page.parent / path if path else page
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to), target


def test_every_page_is_linked_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        path = page.relative_to(ROOT / "docs").as_posix()
        assert path == "README.md" or f"]({path})" in index, path


@on_each_page
def test_the_commands_exist_with_these_options(page: Path) -> None:
    for line in commands(page.read_text()):
        command: click.Command = main
        rest = line
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name, *rest = rest
            if "|" in name or name.isupper():  # several at once; or a word to be filled in
                break
            found = command.get_command(click.Context(command), name)
            assert found is not None, f"gelato-rollup {' '.join(line)}: there is no {name}"
            command = found
        else:
            known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
            for word in rest:
                if word.startswith("--"):
                    option = word.partition("=")[0].rstrip("`,.")
                    assert option in known | {"--help", "--version"}, f"gelato-rollup {' '.join(line)}: {option}"


@on_each_page
def test_the_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = re.findall(r"(?:`|^ {4}|^|&& )(?:[A-Z_]+=\S+ )*make ([\w-]+)", page.read_text(), re.MULTILINE)
    prose = {"sure", "it", "the", "a"}
    assert set(said) - prose <= targets


@on_each_page
def test_the_settings_exist(page: Path) -> None:
    known = {each.metadata["variable"] for each in Settings.__dataclass_fields__.values()}
    for named in re.findall(r"\bGELATO_[A-Z_]*[A-Z]\b(?!\*)", page.read_text()):
        assert named in known | NO_SETTINGS, named


@on_each_page
def test_code_can_be_read(page: Path, tmp_path: Path) -> None:
    for block in fenced(page, "json"):
        orjson.loads(block)
    for block in fenced(page, "python"):
        compile(block, page.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    for block in fenced(page, "sh", "bash"):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@on_each_page
def test_shell_lines_can_be_read(page: Path) -> None:
    """Indented blocks that begin with a command; what it prints stands in a block of its own."""
    text = re.sub(r"^( *)([-*]|\d+\.) ", r"\1   ", FENCED.sub("", page.read_text()), flags=re.MULTILINE)
    for block in re.findall(r"(?:^ {4,}\S.*\n)+", text, re.MULTILINE):
        if TOOL.match(block):
            done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
            assert done.returncode == 0, block + done.stderr


@on_each_page
def test_javascript_can_be_read(page: Path) -> None:
    node = shutil.which("node")
    blocks = fenced(page, "js")
    if blocks and node is None:
        pytest.skip("node is not installed")
    for block in blocks:
        command = [str(node), "--check", "--input-type=module", "-"]
        done = subprocess.run(command, input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@on_each_page
def test_urls_of_this_service_are_its_routes(page: Path) -> None:
    for path in re.findall(
        r"https?://(?:127\.0\.0\.1:8000|[\w.-]*(?:HOST|example\.com|your-receiver))(/[^\s\"'`)|;]+)", page.read_text()
    ):
        if not path.startswith(("/webhooks/gelato", "/console")):
            wanted = path.partition("?")[0]
            assert any(re.fullmatch(pattern, wanted) for pattern in routes()), path


@on_each_page
def test_tenants_files_can_be_used(page: Path, tmp_path: Path) -> None:
    for n, block in enumerate(fenced(page, "toml")):
        path = tmp_path / f"{n}.toml"
        path.write_text(block)
        assert set(tomllib.loads(block)) <= set(tenants.load(Settings(tenants_file=path)).by_name)


@on_each_page
def test_the_tests_that_a_page_names_are_there(page: Path) -> None:
    places = [ROOT / "tests", ROOT / "tests" / "integration", ROOT / "tests" / "faults", ROOT]
    for named in re.findall(r"`((?:[a-z]+/)*test_\w+\.py)(?:::\w+)?", page.read_text()):
        assert any((place / named).exists() for place in places), named


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert reference.held(name) == reference.made(name), "run `make reference`"


def test_every_key_is_in_the_reference() -> None:
    page = reference.held("keys")
    for name, value in vars(keys).items():
        if isinstance(value, str) and value.startswith(keys.PREFIX) and not name.startswith("_") and name != "PREFIX":
            assert f"`{value}`" in page, name
    made = [
        name
        for name, function in inspect.getmembers(keys, inspect.isfunction)
        if "{PREFIX}" in inspect.getsource(function) or "{DEAD_LETTERS}:" in inspect.getsource(function)
    ]
    assert len(made) > 20
    for name in made:
        if name == "find":  # a digest's bucket: `find_bucket`
            continue
        about = " ".join((inspect.getdoc(getattr(keys, name)) or "").partition(": ")[2].split())
        assert about, f"{name}: its docstring begins with the type of the key, and a colon"
        assert about in page, name


def test_every_route_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    said: set[tuple[str, str]] = set()
    for methods, path in re.findall(r"`([A-Z|\\]+) ([^`?]+)(?:\?[^`]*)?`", page):
        for method in methods.replace("\\", "").split("|"):
            prefixes = ("", "/tenants/{}") if path.startswith("...") else ("",)
            said |= {(method, prefix + re.sub(r"\{\w+\}", "{}", path.removeprefix("..."))) for prefix in prefixes}
    there = {
        (method, re.sub(r"\{\w+(:\w+)?\}", "{}", route.path))
        for route in create_app(Settings(webhook_secrets=())).app.routes
        for method in route.methods or ()  # type: ignore[attr-defined]
        if method != "HEAD" and not route.path.startswith("/console")  # type: ignore[attr-defined]
    }
    assert there <= said
    assert {(method, path) for method, path in said if not path.startswith(("/webhooks", "/console"))} <= there
