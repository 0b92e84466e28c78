"""The kit's JSON reader: a duplicate key is an error; the last value is not used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.strict_json import DoubledKeyError, DoubledObject, keep_doubled, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_any_value_survives_write_and_read(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 2}', "a"),
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": {"b": 1, "c": [{"d": 1, "\\u0064": 2}]}}', "d"),  # two spellings of the same letter
        ('[{"": 1, "x": 2, "": 3}]', ""),
    ],
)
def test_a_duplicate_key_is_named(text, key):
    with pytest.raises(DoubledKeyError, match=f"key {key!r} appears twice"):
        parse_json(text)


def test_the_same_key_in_two_objects_is_not_a_duplicate():
    assert parse_json('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}') == {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}


def test_a_long_key_is_cut_off():
    key = "k" * 1000
    with pytest.raises(DoubledKeyError) as error:
        parse_json(f'{{"{key}": 1, "{key}": 2}}')
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000])
def test_text_that_is_not_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_keep_doubled_gives_all_entries():
    found = parse_json('{"a": 1, "b": {"x": 1, "y": 2, "x": 3, "x": 4, "y": 5}}', pairs=keep_doubled)
    assert type(found) is dict
    inner = found["b"]
    assert isinstance(inner, DoubledObject)
    assert inner.doubled() == ["x", "y"]
    assert inner.pairs == [("x", 1), ("y", 2), ("x", 3), ("x", 4), ("y", 5)]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_numbers_that_are_not_finite_are_an_error_if_asked_and_shown_shortened(number):
    with pytest.raises(ValueError) as error:
        parse_json(f'{{"a": [{number}]}}', finite=True)
    assert len(str(error.value)) < 200
    assert parse_json('{"a": 1e5, "b": -3}', finite=True) == {"a": 1e5, "b": -3}
