"""What the documents say is what the code does."""

import re
from pathlib import Path

from ops.cli.config import reference

ROOT = Path(__file__).parents[2]


def test_the_readme_holds_the_reference_of_all_settings() -> None:
    readme = (ROOT / "README.md").read_text()
    held = readme.partition("config --markdown` -->\n")[2].partition("\n<!-- end of settings")[0]
    assert held == reference(), "paste the output of `gelato-rollup config --markdown`"


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tests_that_documents_name_are_there() -> None:
    places = [ROOT / "tests", ROOT / "tests" / "integration"]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for named in re.findall(r"`((?:[a-z]+/)*test_\w+\.py)(?:::\w+)?", page.read_text()):
            found = [place for place in [*places, ROOT / "tests" / "faults", ROOT] if (place / named).exists()]
            assert found, f"{page.name}: {named}"
