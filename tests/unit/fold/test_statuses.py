"""The vocabulary of statuses, sentence by sentence: docs/explanation/the-fold.md."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import statuses
from shared.statuses import RANKED, headline, lowest_listed, needs_attention, normalise, rank_key

BAGS = st.lists(st.sampled_from([*RANKED, "quality_check", "a_new_one"]), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("shipped", "shipped"),
        (" Shipped\n", "shipped"),
        ("In Transit", "in_transit"),
        ("in-transit", "in_transit"),
        ("ON_HOLD", "on_hold"),
        ("cancelled", "canceled"),
        ("Cancelled ", "canceled"),
        ("CANCELED", "canceled"),
        ("Quality Check", "quality_check"),
        ("a\tb", "a_b"),
    ],
)
def test_a_status_is_trimmed_lower_case_and_spelled_with_underscores(text: str, status: str) -> None:
    assert normalise(text) == status


@given(st.text(max_size=70))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_the_ranks_are_those_of_the_contract() -> None:
    contract = (
        "draft not_connected created uploading digitizing passed in_production printed pending_personalization "
        "pending_approval on_hold failed canceled shipped in_transit delivered returned"
    )
    by_name = sorted(contract.split())
    assert sorted(by_name, key=rank_key) == contract.split()


def test_an_unknown_status_is_the_lowest_and_two_of_them_go_by_name() -> None:
    assert sorted(["draft", "zz", "aa"], key=rank_key) == ["aa", "zz", "draft"]


@pytest.mark.parametrize(
    ("listed", "counts"),
    [
        (["shipped", "passed"], "passed"),
        (["canceled", "shipped"], "shipped"),
        (["canceled", "canceled"], "canceled"),
        (["a_new_one", "draft"], "a_new_one"),
        (["delivered"], "delivered"),
    ],
)
def test_of_a_reference_listed_twice_the_lowest_counts_leaving_out_canceled(listed: list[str], counts: str) -> None:
    assert {lowest_listed(list(order)) for order in itertools.permutations(listed)} == {counts}


@pytest.mark.parametrize(
    ("rule", "bag", "expected"),
    [
        ("canceled is left out", "canceled shipped", "shipped"),
        ("nothing left: canceled", "canceled canceled", "canceled"),
        ("all returned: returned", "returned returned canceled", "returned"),
        ("all delivered: delivered", "delivered delivered canceled", "delivered"),
        ("all delivered or returned: partially_returned", "delivered returned", "partially_returned"),
        ("any delivered: partially_delivered", "delivered shipped", "partially_delivered"),
        ("any delivered: partially_delivered", "delivered returned passed", "partially_delivered"),
        ("any delivered: partially_delivered", "delivered failed", "partially_delivered"),
        ("any returned: partially_returned", "returned passed", "partially_returned"),
        ("any returned: partially_returned", "returned in_transit on_hold", "partially_returned"),
        ("all in transit: in_transit", "in_transit in_transit canceled", "in_transit"),
        ("all shipped or in transit: shipped", "in_transit shipped", "shipped"),
        ("all shipped or in transit: shipped", "shipped shipped", "shipped"),
        ("any of those: partially_shipped", "shipped printed", "partially_shipped"),
        ("any of those: partially_shipped", "in_transit failed", "partially_shipped"),
        ("any of those: partially_shipped", "in_transit a_new_one", "partially_shipped"),
        ("failed comes first", "not_connected pending_personalization pending_approval on_hold failed", "failed"),
        ("then on_hold", "not_connected pending_personalization pending_approval on_hold printed", "on_hold"),
        ("then pending_approval", "not_connected pending_personalization pending_approval", "pending_approval"),
        ("then pending_personalization", "not_connected pending_personalization", "pending_personalization"),
        ("then not_connected", "not_connected draft", "not_connected"),
        ("the least advanced: draft", "created draft printed", "draft"),
        ("the least advanced: created", "uploading created", "created"),
        ("the least advanced: uploading", "digitizing uploading", "uploading"),
        ("the least advanced: digitizing", "passed digitizing", "digitizing"),
        ("the least advanced: passed", "in_production passed", "passed"),
        ("the least advanced: in_production", "printed in_production", "in_production"),
        ("a known one before an unknown one", "printed a_new_one", "printed"),
        ("the first unknown one by name", "zz aa canceled", "aa"),
    ],
)
def test_the_headline_is_the_first_rule_that_fits(rule: str, bag: str, expected: str) -> None:
    for order in itertools.islice(itertools.permutations(bag.split()), 24):
        assert headline(order) == expected, rule


@given(BAGS)
def test_the_headline_depends_on_which_statuses_there_are_and_not_on_how_many_or_where(bag: list[str]) -> None:
    assert headline(bag) == headline(reversed(bag)) == headline(bag + bag)


@given(BAGS)
def test_a_canceled_line_never_changes_the_headline_of_the_others(bag: list[str]) -> None:
    assert headline([*bag, "canceled"]) == headline(bag)


@given(BAGS)
def test_a_headline_is_a_status_of_the_bag_or_says_partially(bag: list[str]) -> None:
    assert headline(bag) in {*bag, "partially_shipped", "partially_delivered", "partially_returned", "shipped"}


def test_five_statuses_need_attention() -> None:
    assert {status for status in RANKED if needs_attention(status)} == {
        "failed",
        "on_hold",
        "pending_approval",
        "pending_personalization",
        "not_connected",
    }
    assert not needs_attention("a_new_one")


def test_three_statuses_are_final() -> None:
    assert {"delivered", "returned", "canceled"} == statuses.FINAL
