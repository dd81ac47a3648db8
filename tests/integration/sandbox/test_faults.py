"""The sandbox breaks when it is told to, and limits its callers."""

from collections.abc import Callable

import httpx
import pytest
from support.gelato.sandbox import Played, order

Play = Callable[..., Played]


def test_too_many_calls_are_refused_for_a_while(play: Play) -> None:
    sandbox = play(rate_limit=0.01)  # one call in 100 s: a slow machine must not get another one
    assert sandbox.v4("POST", ":search", {}).status_code == 200
    refused = sandbox.v4("POST", ":search", {})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 100
    assert sandbox.connector("search", {}).status_code == 200  # another key
    assert sandbox.counts()["outcomes"] == {"search 200": 2, "search 429": 1}


def test_it_answers_with_an_error_when_told_to_and_is_well_when_mended(play: Play) -> None:
    sandbox = play()
    sandbox.break_("error", status=502, retryAfter=7, calls=["get"])
    answer = sandbox.v4("GET", "/anything")
    assert (answer.status_code, answer.headers["retry-after"]) == (502, "7")
    made = sandbox.submit()
    sandbox.mend()
    assert sandbox.v4("GET", f"/{made['id']}").status_code == 200


def test_a_call_that_hangs_gets_no_answer(play: Play) -> None:
    sandbox = play()
    sandbox.break_("hang")
    with pytest.raises(httpx.ReadTimeout):
        sandbox.v4("POST", "", order(), timeout=0.3)
    sandbox.mend()
    assert sandbox.truths() == []


def test_a_connection_that_is_reset_has_done_nothing(play: Play) -> None:
    sandbox = play()
    sandbox.break_("reset")
    with pytest.raises(httpx.TransportError):
        sandbox.v4("POST", "", order())
    assert sandbox.truths() == []


def test_an_answer_that_is_lost_belongs_to_an_order_that_was_taken(play: Play) -> None:
    sandbox = play()
    sandbox.break_("lost-answer", calls=["submit"])
    with pytest.raises(httpx.TransportError):
        sandbox.v4("POST", "", order())
    sandbox.mend()
    found = sandbox.v4("POST", ":search", {"orderReferenceIds": ["R-1"]}).json()["orders"]
    assert len(found) == 3
    assert sandbox.counts()["outcomes"]["submit lost-answer"] == 1


def test_what_it_cannot_be_told_is_refused(play: Play) -> None:
    sandbox = play()
    for what, body in (
        ("break", {"mode": "fire"}),
        ("break", {}),
        ("break", {"mode": "error", "status": 200}),
        ("break", []),
        ("lose", {"share": 2}),
        ("orders", {"count": 0}),
        ("orders", {"tenant": "nobody"}),
        ("advance", {"seconds": -1}),
    ):
        assert httpx.post(f"{sandbox.base}/sandbox/{what}", json=body, trust_env=False).status_code == 400, what
    assert httpx.post(f"{sandbox.base}/sandbox/fly", json={}, trust_env=False).status_code == 404


def test_it_is_reached_by_the_names_of_loopback_alone(play: Play) -> None:
    sandbox = play()
    answer = httpx.get(f"{sandbox.base}/sandbox/truth", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400
