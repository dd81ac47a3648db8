"""The same content or not: equality of JSON values, whatever their spelling."""

import json
import random
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import canonical
from shared.errors import InvalidJson

NUMBERS = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abcé"\\', max_size=4), inner, max_size=4),
    max_leaves=12,
)


def text(body: str | bytes) -> bytes:
    """The canonical text of a body."""
    return canonical.parse(body.encode() if isinstance(body, str) else body)[1]


def exactly(value: Any) -> Any:
    """A value by which JSON values are equal in Python just where they are in JSON (True is not 1)."""
    if isinstance(value, dict):
        return {name: exactly(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exactly(each) for each in value]
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return ("number", Decimal(str(value)))
    return (type(value).__name__, value)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with its keys in another order."""
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        return {name: shuffled(value[name], rng) for name in names}
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', ' { "b" : 2 ,\n"a":1} '),
        ('{"a":{"x":1,"y":[{"p":1,"q":2}]}}', '{"a":{"y":[{"q":2,"p":1}],"x":1}}'),
        ('"\\u00e9"', '"é"'),
        ('"\\/"', '"/"'),
        ('{"\\u0061":1}', '{"a":1}'),
        ('"\\ud83d\\udc5e"', '"👞"'),
        ("[1]", "[1.0]"),
        ("[1]", "[1e0]"),
        ("[100]", "[1E+2]"),
        ("[0.1]", "[1e-1]"),
        ("[0.10]", "[0.1]"),
        ("[-0]", "[0]"),
        ("[-0.0]", "[0]"),
        ("1", "1.0"),
        ('{"a":10000000000000000000000}', '{"a":1e22}'),
        ('{"a":12345678901234567890}', '{"a":12345678901234567890.0}'),
    ],
)
def test_one_value_has_one_text_however_it_is_spelled(one: str, other: str) -> None:
    assert text(one) == text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":"1"}'),
        ("[1,2]", "[2,1]"),
        ("[true]", "[1]"),
        ("[null]", "[false]"),
        ('{"a":null}', "{}"),
        ('"a"', '"A"'),
        ('"é"', '"e\\u0301"'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":123456789012345678901}', '{"a":123456789012345678902}'),
        ('{"a":0.1}', '{"a":0.10000000000000000001}'),
        ('{"a":18446744073709551616}', '{"a":18446744073709551617}'),
    ],
)
def test_two_values_have_two_texts(one: str, other: str) -> None:
    assert text(one) != text(other)


def test_long_integers_are_read_exactly() -> None:
    value, _ = canonical.parse(b'{"orderReferenceId":123456789012345678901234567890}')
    assert value == {"orderReferenceId": 123456789012345678901234567890}
    assert canonical.dumps(value) == b'{"orderReferenceId":123456789012345678901234567890}'


def test_digits_in_a_text_are_no_number() -> None:
    body = b'{"a":"1.0,1e0:[12345678901234567890"}'
    assert canonical.parse(body) == ({"a": "1.0,1e0:[12345678901234567890"}, body)


@given(VALUES, st.randoms(use_true_random=False))
@example({"a": 1e22, "b": 10**22}, random.Random(1))
def test_key_order_and_white_space_change_nothing(value: Any, rng: random.Random) -> None:
    assert text(json.dumps(value, indent=2)) == text(json.dumps(shuffled(value, rng), ensure_ascii=False))


@given(VALUES)
def test_a_canonical_text_is_its_own_canonical_text_and_says_the_same(value: Any) -> None:
    written = text(json.dumps(value))
    assert text(written) == written
    assert exactly(json.loads(written, parse_float=Decimal)) == exactly(
        json.loads(json.dumps(value), parse_float=Decimal)
    )


@given(VALUES, VALUES)
def test_texts_are_equal_just_where_values_are(one: Any, other: Any) -> None:
    assert (text(json.dumps(one)) == text(json.dumps(other))) == (exactly(one) == exactly(other))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b"NaN",
        b"[Infinity]",
        b"[01]",
        b"1 2",
        b'"\xff"',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"[1e999]",
        b"[" * 100_000,
        b"[" * 300 + b"]" * 300,
    ],
)
def test_what_is_not_json_is_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(InvalidJson) as refused:
        canonical.parse(body)
    assert len(str(refused.value)) < 200


def test_an_error_never_quotes_the_body() -> None:
    with pytest.raises(InvalidJson) as refused:
        canonical.parse(b'{"secret": hunter2}')
    assert "hunter2" not in str(refused.value)
    assert "column" in str(refused.value)


def test_a_value_nested_as_deep_as_allowed_is_taken() -> None:
    body = b"[" * canonical.MAX_DEPTH + b"]" * canonical.MAX_DEPTH
    assert canonical.parse(body)[1] == body


@pytest.mark.parametrize("digits", [19, 20, 400, 4_000])
def test_numbers_of_any_length_cost_nothing_much_and_come_out_whole_or_are_refused(digits: int) -> None:
    body = b'{"a":' + b"7" * digits + b"}"
    try:
        value, written = canonical.parse(body)
    except InvalidJson:
        assert digits > 308  # beyond double precision's range
    else:
        assert value == {"a": int("7" * digits)}
        assert written == body


@given(st.dictionaries(st.text("ab", max_size=3), st.integers() | st.text(max_size=3), max_size=3))
def test_dumps_writes_what_parse_writes(value: dict[str, Any]) -> None:
    try:
        body = orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        body = json.dumps(value).encode()
    assert canonical.dumps(value) == canonical.parse(body)[1]
