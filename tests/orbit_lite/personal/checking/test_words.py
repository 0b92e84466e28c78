"""What the check says in sentences: no more than its numbers carry."""

import numpy as np
import pytest

from eval.intervals import wilson_interval
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.leave_out import HeadTeaching
from orbit_lite.personal.checking.filming_advice import rises
from orbit_lite.personal.checking.learning_curve import LearningCurve, learning_curve
from orbit_lite.personal.checking.words import check_text, curve_finding, headline, interval


def curve_of(few, many):
    """Two points, 1 video and 2, one draw; of each held-out video ten frames."""
    right = np.array([[few], [many]])
    return LearningCurve((1, 2), ("bag",) * len(few), np.full(len(few), 10), right)


@pytest.mark.parametrize(
    ("few", "many", "said"),
    [
        (
            [5] * 6,
            [6] * 6,
            "50 % of frames were recognized, 60 % with 2. It is still rising (with 2 in place of 1, 6 of",
        ),
        ([5] * 6, [9, 9, 4, 4, 5, 5], "60 % with 2. It rises, but not clearly (with 2 in place of 1, 2 of the videos"),
        ([5] * 6, [5, 5, 5, 5, 5, 6], "52 % with 2. It rises little at its end"),
        ([5] * 6, [2] * 6, "20 % with 2. It rises little at its end"),
    ],
)
def test_a_curve_in_words(few, many, said):
    assert said in curve_finding(curve_of(few, many))


def test_more_are_asked_for_where_they_help_and_not_where_there_is_nothing_to_learn(make_support):
    said = {}
    for apart in (0.7, 0.0):  # objects of their own with videos that differ; names that say nothing
        supports = [make_support(dict.fromkeys("abcdefghij", 6), apart=apart, drift=1, seed=seed) for seed in range(6)]
        curves = [learning_curve(HeadTeaching(PrototypeHead, s), seed=1, draws=2, quiet=True) for s in supports]
        said[apart] = sum(rises(curve.rise()) for curve in curves)
    assert said[0.7] >= 3
    assert said[0.0] <= 1  # once in twenty by luck


def test_intervals_are_wilsons():
    # 3 of 3 and 9 of 10 from the formula by hand: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), z = 1.96
    assert interval(3, 3) == "44 to 100"
    assert interval(9, 10) == "60 to 98"
    assert interval(0, 4) == "0 to 49"


def test_how_far_the_estimate_can_be_trusted_is_said_with_videos_as_the_unit(make_support, check_support):
    told = check_support(make_support({"bag": 4, "mug": 3}, apart=50), draws=1)
    low, high = (round(100 * value) for value in wilson_interval(7, 7))
    assert f"100 % of the frames are likely to be recognized in a new place (95 % interval {low} to {high} %" in (
        check_text(told)
    )
    assert headline(told)[1].startswith("of the frames of 7 held-out videos were recognized; guessing would get 50 %.")


def test_a_person_who_listens_hears_the_worst_first_and_each_object_once(make_support, check_support):
    told = check_support(make_support({"bag": 3, "keys": 1, "mug": 3}, apart=0.5, noise=0.6), draws=1)
    lines = check_text(told).splitlines()
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in ("bag", "keys", "mug")] == [
        thing.object for thing in told.worst_first
    ]
    assert any(line.startswith("keys: not checked. A single video can't be checked") for line in lines)
    assert ".mp4" not in check_text(told)  # no object's line is of file names
    two = check_support(make_support({"bag": 3, "mug": 1}), draws=1)
    assert "can't be estimated: it takes three objects" in check_text(two)


def test_a_weak_start_is_named_and_nobody_is_told_to_film_again(make_support, check_support):
    model = {"checkpoint": "x", "validation_frame_accuracy": 0.28, "validation_chance": 1 / 3}
    support = make_support({"bag": 3, "keys": 3, "mug": 3}, apart=0.2, noise=0.6)
    text = check_text(check_support(support, draws=1, origin={"model": model}))
    assert "recognized 28 % of validation users' frames; guessing gets 33 %. Start from another" in text
    assert "film it" not in text.casefold() and "film both" not in text.casefold()
