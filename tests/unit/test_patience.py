"""How long an order may be silent, and lengths of time as people write them."""

from pathlib import Path

import pytest

from shared import patience
from shared.durations import seconds_of, shown
from shared.errors import ConfigurationError
from shared.settings import Settings
from shared.statuses import FINAL, RANKED


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1_800), ("6h", 21_600), (" 1.5D ", 129_600)])
def test_a_length_of_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "-1h", "6 hours", "1e3s", "nan"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="6h"):
        seconds_of(text)


def test_a_length_is_shown_in_the_largest_unit_that_fits() -> None:
    assert [shown(each) for each in (90, 5_400, 86_400, 129_600)] == ["1.5m", "1.5h", "1d", "1.5d"]


def test_every_open_status_has_a_usual_time() -> None:
    usual = patience.read("")
    assert all(status in usual.seconds for status in RANKED if status not in FINAL)
    assert usual.of("created") < usual.of("in_production") < usual.of("shipped") < usual.of("in_transit")
    assert usual.of("a status that is new") == usual.of("other")


def test_the_documentation_says_what_is_usual() -> None:
    assert patience.markdown() in (Path(__file__).parents[2] / "docs" / "explanation" / "reconciliation.md").read_text()


def test_a_setting_changes_some_of_them() -> None:
    read = patience.read("shipped=3d, Created = 2h")
    assert read.of("shipped") == 3 * 86_400
    assert read.of("created") == 7_200
    assert read.of("passed") == patience.read("").of("passed")
    assert patience.read("incomplete=1s").least == 1


@pytest.mark.parametrize("text", ["shiped=3d", "shipped", "shipped=3", "delivered=1d"])
def test_a_setting_that_cannot_be_used_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="GELATO_RECONCILE_AFTER"):
        Settings.from_environment({"GELATO_RECONCILE_AFTER": text})
