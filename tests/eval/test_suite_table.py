from math import sqrt

import pytest

from eval.suite_table import SetResult, means, suite_csv, suite_html, suite_markdown, suite_text

RESULTS = (
    SetResult("a", "M", "", 600, "tasks", 0.9, 0.01, 0.2),
    SetResult("b", "M", "", 600, "tasks", 0.5, 0.03, 0.2),
    SetResult("c", "V", "natural", 10_000, "images", 0.4, 0.02, 0.1),
    SetResult("d", "V", "natural"),
    SetResult("e", "V", "structured", 500, "images", 0.2, 0.04, 0.1),
)


def test_means_by_part_and_by_group_where_there_are_several():
    found = {one.name: one for one in means(RESULTS)}
    assert [*found] == ["mean of M", "mean of V", "mean of V, natural", "mean of V, structured"]
    assert (found["mean of M"].accuracy, found["mean of M"].n) == (pytest.approx(0.7), 2)
    assert found["mean of M"].half_width == pytest.approx(sqrt(0.01**2 + 0.03**2) / 2)
    # groups have different sizes: the mean is over sets, not over groups; d is missing
    assert (found["mean of V"].accuracy, found["mean of V"].n, found["mean of V"].sets) == (pytest.approx(0.3), 2, 3)
    assert found["mean of V, natural"].accuracy == pytest.approx(0.4)


def test_a_set_without_an_interval_leaves_its_means_without_one():
    (one,) = means([SetResult("a", "M", "", 1, "images", 0.9), SetResult("b", "M", "", 9, "tasks", 0.5, 0.1)])
    assert (one.accuracy, one.half_width) == (pytest.approx(0.7), None)


def test_missing_sets_are_not_zero():
    (one,) = means([SetResult("a", "M", "")])
    assert (one.n, one.accuracy, one.half_width) == (0, None, None)


@pytest.mark.parametrize("make", [suite_text, suite_markdown, suite_html])
def test_pages_and_text_have_all_rows_in_percent(make):
    found = make("vtab, test", RESULTS)
    for words in (
        "10,000 images",
        "mean of V, natural",
        "1 of 2 sets",
        "not evaluated",
        "Not evaluated: 1 set of 5: d.",
    ):
        assert words in found, words
    assert "70.0" in found and "40.0" in found


def test_csv_has_fractions_and_empty_cells():
    lines = suite_csv(RESULTS).splitlines()
    assert lines[0] == "set,part,group,n,unit,accuracy,half_width,chance"
    assert lines[1] == "a,M,,600,tasks,0.9000,0.0100,0.2000"
    assert lines[4] == "d,V,natural,0,,,,"
    assert lines[6] == "mean of M,M,,2,sets,0.7000,0.0158,"
