"""The kit's YAML reader: plain values, and errors for duplicate keys that name file, key and both lines."""

import pytest

from groundwork.errors import UsageError
from orbit_lite.config import read_yaml
from orbit_lite.strict_yaml import parse_yaml
from orbit_lite.training.experiment import load_experiment

# each list holds the previous one nine times: 3,874,204,890 values in 300 characters
BOMB = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nname: x\nseed: 2\n", "key 'seed' appears twice, lines 1 and 3"),
        ("seed: 1\nseed: 1\n", "key 'seed' appears twice, lines 1 and 2"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "key 'b' appears twice, lines 2 and 4"),
        ("a: {b: 1, b: 2}", "key 'b' appears twice, lines 1 and 1"),
        ("- {x: 1}\n- y: 1\n  'y': 2\n", "key 'y' appears twice, lines 2 and 3"),
        ("1: a\n0x1: b\n", "key '0x1' appears twice, lines 1 and 2"),  # the same key, written in two ways
        ("yes: a\ntrue: b\n", "key 'true' appears twice"),
    ],
)
def test_a_doubled_key_names_key_and_lines(text, said):
    with pytest.raises(UsageError) as error:
        parse_yaml(text, where="mine.yaml")
    assert str(error.value).startswith(f"mine.yaml: {said}")


def test_merged_keys_may_be_replaced():
    """`<<` adds keys that a mapping's own keys can replace, which is its purpose."""
    text = "base: &base {lr: 1, h: 2}\na: &a\n  <<: *base\n  lr: 3\nb:\n  lr: 5\n  <<: [*a, *base]\n"
    assert parse_yaml(text, where="x") == {
        "base": {"lr": 1, "h": 2},
        "a": {"lr": 3, "h": 2},
        "b": {"lr": 5, "h": 2},
    }


def test_the_same_key_in_two_mappings_is_valid():
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
        "2024-02-03",
        "!!int abc",
        "!!int z: 1",
        "!!int ''",
        "!!float _",
        "!!bool maybe",
        "!!timestamp x",
        "!!binary x#",
        "1" * 10_000,
        "0x" + "f" * 10_000,
        "{a: " * 3000 + "1" + "}" * 3000,
        "a: &a [x, x, x, x, x, x, x, x, x]\n" + BOMB,
    ],
)
def test_invalid_yaml_is_one_line(text):
    with pytest.raises(UsageError, match=r"^mine\.yaml: can't be read as YAML: ") as error:
        parse_yaml(text, where="mine.yaml")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_list_that_holds_itself_is_plain_yaml():
    found = parse_yaml("&a [1, *a]", where="x")
    assert found[1] is found


def test_a_document_longer_than_a_config_is_not_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("seed: [" + "1," * 5_000_000 + "]")
    with pytest.raises(UsageError, match=r"longer than 100,000 characters"):
        read_yaml(path)
    with pytest.raises(UsageError, match=r"longer than 100,000 characters"):
        parse_yaml(path.read_text(), where="x")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 1\n")
    assert read_yaml(path) == {"seed": 1}


@pytest.mark.parametrize(
    "override",
    [
        "seed=!!int z",
        "seed=" + "1" * 10_000,
        "seed=2024-01-01",
        "seed=" + "[" * 3000,
        "lite=" + "[" + "1, " * 9000 + "]",
        "optimizer.betas=" + "[" + "1, " * 9000 + "]",
        "tasks=&a [*a]",
        "x" * 50_000 + "=1",
    ],
)
def test_overrides_have_the_same_limits_and_are_shortened(override):
    with pytest.raises(UsageError) as error:
        load_experiment("pocket", [override])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
