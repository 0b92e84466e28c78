"""JSON as the kit reads it: a doubled key is an error, not the last value."""

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
def test_what_json_writes_comes_back(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 2}', "a"),
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": {"b": 1, "c": [{"d": 1, "\\u0064": 2}]}}', "d"),  # the same letter, written in two ways
        ('[{"": 1, "x": 2, "": 3}]', ""),
    ],
)
def test_a_doubled_key_is_named(text, key):
    with pytest.raises(DoubledKeyError, match=f"key {key!r} is there twice"):
        parse_json(text)


def test_the_same_key_in_two_objects_is_none():
    assert parse_json('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}') == {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}


def test_a_long_key_is_cut_off():
    key = "k" * 1000
    with pytest.raises(DoubledKeyError) as error:
        parse_json(f'{{"{key}": 1, "{key}": 2}}')
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_reader_that_names_the_place_is_given_all_pairs():
    found = parse_json('{"a": 1, "b": {"x": 1, "y": 2, "x": 3, "x": 4, "y": 5}}', pairs=keep_doubled)
    assert type(found) is dict
    inner = found["b"]
    assert isinstance(inner, DoubledObject)
    assert inner.doubled() == ["x", "y"]
    assert inner.pairs == [("x", 1), ("y", 2), ("x", 3), ("x", 4), ("y", 5)]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_a_number_that_is_none_is_an_error_where_it_matters_and_shown_in_short(number):
    with pytest.raises(ValueError) as error:
        parse_json(f'{{"a": [{number}]}}', finite=True)
    assert len(str(error.value)) < 200
    assert parse_json('{"a": 1e5, "b": -3}', finite=True) == {"a": 1e5, "b": -3}
