"""YAML as the kit reads it: plain values, and a doubled key is an error that names file, key and both lines."""

import pytest

from groundwork.errors import AskedWrong
from orbit_lite.strict_yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nname: x\nseed: 2\n", "key 'seed' is there twice, lines 1 and 3"),
        ("seed: 1\nseed: 1\n", "key 'seed' is there twice, lines 1 and 2"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "key 'b' is there twice, lines 2 and 4"),
        ("a: {b: 1, b: 2}", "key 'b' is there twice, lines 1 and 1"),
        ("- {x: 1}\n- y: 1\n  'y': 2\n", "key 'y' is there twice, lines 2 and 3"),
        ("1: a\n0x1: b\n", "key '0x1' is there twice, lines 1 and 2"),  # the same key, written in two ways
        ("yes: a\ntrue: b\n", "key 'true' is there twice"),
    ],
)
def test_a_doubled_key_names_key_and_lines(text, said):
    with pytest.raises(AskedWrong) as error:
        parse_yaml(text, where="mine.yaml")
    assert str(error.value).startswith(f"mine.yaml: {said}")


def test_merged_keys_may_be_replaced():
    """`<<` brings in keys that a mapping's own may replace; that is what it is for."""
    text = "base: &base {lr: 1, h: 2}\na: &a\n  <<: *base\n  lr: 3\nb:\n  lr: 5\n  <<: [*a, *base]\n"
    assert parse_yaml(text, where="x") == {
        "base": {"lr": 1, "h": 2},
        "a": {"lr": 3, "h": 2},
        "b": {"lr": 5, "h": 2},
    }


def test_the_same_key_in_two_mappings_is_none():
    assert parse_yaml("a: {x: 1}\nb: {x: 2}\nx: 3\n", where="x") == {"a": {"x": 1}, "b": {"x": 2}, "x": 3}


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "!!python/object/apply:os.system ['true']",
        "{[1]: 2}",
        "{{a: 1}: 2}",
        "a: 2024-02-31",
        "[" * 5000,
        "a: b: c",
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text):
    with pytest.raises(AskedWrong, match=r"^mine\.yaml: not readable as YAML: ") as error:
        parse_yaml(text, where="mine.yaml")
    assert "\n" not in str(error.value)
