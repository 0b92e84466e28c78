"""The check's sentences claim no more than its numbers support."""

import numpy as np
import pytest

from eval.intervals import wilson_interval
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.leave_out import HeadTeaching
from orbit_lite.personal.checking.filming_advice import is_rising
from orbit_lite.personal.checking.learning_curve import LearningCurve, learning_curve
from orbit_lite.personal.checking.words import check_text, curve_finding, headline, interval


def curve_of(few, many):
    """A curve with two points, 1 and 2 videos, one draw, and ten frames of each held-out video."""
    right = np.array([[few], [many]])
    return LearningCurve((1, 2), ("bag",) * len(few), np.full(len(few), 10), right)


@pytest.mark.parametrize(
    ("few", "many", "message"),
    [
        (
            [5] * 6,
            [6] * 6,
            "50 % of frames were recognized with 1 teaching video of each object, 60 % with 2. The curve is "
            "still rising "
            "(with 2 instead of 1, 6 held-out videos",
        ),
        ([5] * 6, [9, 9, 4, 4, 5, 5], "60 % with 2. The curve rises, but not clearly (with 2 instead of 1, 2 held-out"),
        ([5] * 6, [5, 5, 5, 5, 5, 6], "52 % with 2. The curve rises little at its end"),
        ([5] * 6, [2] * 6, "20 % with 2. The curve rises little at its end"),
    ],
)
def test_a_curve_in_words(few, many, message):
    assert message in curve_finding(curve_of(few, many))


def test_more_videos_are_requested_only_if_they_help(make_support):
    output = {}
    for apart in (0.7, 0.0):  # different objects with videos that differ; random names
        supports = [make_support(dict.fromkeys("abcdefghij", 6), apart=apart, drift=1, seed=seed) for seed in range(6)]
        curves = [learning_curve(HeadTeaching(PrototypeHead, s), seed=1, draws=2, quiet=True) for s in supports]
        output[apart] = sum(is_rising(curve.rise()) for curve in curves)
    assert output[0.7] >= 3
    assert output[0.0] <= 1  # once in twenty by chance


def test_intervals_are_wilsons():
    # 3 of 3 and 9 of 10 from the formula by hand: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), z = 1.96
    assert interval(3, 3) == "44 to 100"
    assert interval(9, 10) == "60 to 98"
    assert interval(0, 4) == "0 to 49"


def test_the_intervals_are_stated_with_videos_as_the_unit(make_support, check_support):
    result = check_support(make_support({"bag": 4, "mug": 3}, apart=50), draws=1)
    low, high = (round(100 * value) for value in wilson_interval(7, 7))
    assert f"100 % of the frames are likely to be recognized in a new place (95 % interval {low} to {high} %" in (
        check_text(result)
    )
    assert headline(result)[1].startswith(
        "of the frames of 7 held-out videos were recognized; guessing would get 50 %."
    )


def test_the_text_lists_the_worst_object_first_and_each_once(make_support, check_support):
    result = check_support(make_support({"bag": 3, "keys": 1, "mug": 3}, apart=0.5, noise=0.6), draws=1)
    lines = check_text(result).splitlines()
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in ("bag", "keys", "mug")] == [
        thing.object for thing in result.worst_first
    ]
    assert any(line.startswith("keys: not checked. It has a single video, so it can't be checked") for line in lines)
    assert ".mp4" not in check_text(result)  # no object's line contains file names
    two = check_support(make_support({"bag": 3, "mug": 1}), draws=1)
    assert "can't be estimated: this takes three objects" in check_text(two)


def test_a_weak_start_is_reported_and_nobody_is_told_to_film_again(make_support, check_support):
    model = {"checkpoint": "x", "validation_frame_accuracy": 0.28, "validation_chance": 1 / 3}
    support = make_support({"bag": 3, "keys": 3, "mug": 3}, apart=0.2, noise=0.6)
    text = check_text(check_support(support, draws=1, origin={"model": model}))
    assert "recognized 28 % of validation users' frames; guessing gets 33 %. Start from another" in text
    assert "film it" not in text.casefold() and "film both" not in text.casefold()
