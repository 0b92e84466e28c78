"""Numbers, names and quoted text in messages."""

import pytest

from groundwork.words import counted, listed, nearest, one_line


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, "video"), "0 videos"),
        ((1, "video"), "1 video"),
        ((2, "video"), "2 videos"),
        ((1, "entry", "entries"), "1 entry"),
        ((3, "entry", "entries"), "3 entries"),
    ],
)
def test_a_number_and_its_noun_agree(given, text):
    assert counted(*given) == text


def test_eight_names_are_listed_and_the_rest_counted():
    names = [f"v{number}" for number in range(10)]
    assert listed(names[:8]) == "v0, v1, v2, v3, v4, v5, v6, v7"
    assert listed(names) == "v0, v1, v2, v3, v4, v5, v6, v7 and 2 more"
    assert listed(names, most=1) == "v0 and 9 more"
    assert listed([]) == ""


def test_quoted_text_is_one_line_of_bounded_length():
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 80) == "x" * 80
    assert one_line("x" * 81) == "x" * 77 + "..."
    assert one_line("abcdef", most=5) == "ab..."


def test_the_nearest_name_is_suggested():
    assert nearest("protonet", ["maml", "protonets"]) == " (did you mean 'protonets'?)"
    assert nearest("something", ["maml"]) == ""
