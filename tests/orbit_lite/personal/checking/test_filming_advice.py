"""Advice on what to film next: each rule on both sides of its threshold."""

import pytest

from orbit_lite.personal.checking.filming_advice import (
    CONFUSED_SHARE,
    FEW_VIDEOS,
    LEAST_RISE,
    MOST_P_VALUE,
    WELL_RECOGNIZED,
    Measured,
    advise,
    is_rising,
)
from orbit_lite.personal.checking.learning_curve import Rise


def rise(gain, better=5, worse=0):
    return Rise(few=2, many=4, before=0.5, after=0.5 + gain, better=better, worse=worse)


def measured(videos=5, accuracy=0.5, *, confused=0.0, own=None, all_objects=None, blurred=0, others=2, weak=False):
    issues = [("blurred",)] * blurred + [()] * (videos - blurred)
    taken_for = "mug" if confused else ""
    return Measured(issues, accuracy, taken_for, confused, others, own, all_objects, weak)


@pytest.mark.parametrize(
    ("found", "kind", "message"),
    [
        (measured(1, None), "single", "It has a single video, so it can't be checked"),
        (measured(FEW_VIDEOS - 1, 1.0), "few", "2 videos are few"),
        (measured(FEW_VIDEOS, WELL_RECOGNIZED, own=rise(0.3)), "well", "It is recognized well"),
        (
            measured(5, WELL_RECOGNIZED - 0.01, own=rise(LEAST_RISE)),
            "more",
            "50 % of its frames were recognized; with 4, 55 %.",
        ),
        (
            measured(5, 0.5, all_objects=rise(LEAST_RISE, 12, 3)),
            "more",
            "More videos of all objects are likely to help.",
        ),
        (measured(5, 0.5, own=rise(LEAST_RISE - 0.01)), "other", "in other places and from other sides"),
        (measured(5, 0.5, own=rise(0.3, better=3)), "other", "in other places and from other sides"),
        (measured(5, 0.5, confused=CONFUSED_SHARE), "apart", "often mistaken for mug: film both"),
        (measured(5, 0.5, confused=CONFUSED_SHARE - 0.01), "other", "mistaken for several other objects"),
        (measured(5, 0.5, confused=CONFUSED_SHARE - 0.01, others=1), "other", "Film it in other places"),
        (measured(5, 0.1, weak=True, blurred=0), "start", "too weak to tell whether filming again would help"),
    ],
)
def test_each_rule(found, kind, message):
    advice = advise(found)
    assert advice.kind == kind
    assert message in advice.text
    assert "blurred" not in advice.text


@pytest.mark.parametrize("options", [{"videos": 2}, {"own": rise(LEAST_RISE)}, {"all_objects": rise(LEAST_RISE)}, {}])
def test_the_object_it_is_mistaken_for_is_always_named(options):
    assert "mistaken for mug: film both from the sides" in advise(measured(**options, confused=CONFUSED_SHARE)).text
    assert "mug" not in advise(measured(**options, confused=CONFUSED_SHARE - 0.01)).text


def test_badly_filmed_videos_come_first():
    advice = advise(measured(5, 0.5, own=rise(LEAST_RISE), blurred=3))
    assert advice.kind == "again"
    assert advice.text.startswith("Film again: 3 of your 5 videos are blurred; hold still")
    assert "More videos are likely to help" in advice.text  # and the rest is not lost
    assert advise(measured(1, None, blurred=1)).kind == "again"
    # if everything is recognized, nothing must be filmed again
    assert advise(measured(5, 1.0, blurred=1)) == advise(measured(5, 1.0))


def test_with_a_weak_start_nobody_is_told_to_film_again():
    assert "ilm" not in advise(measured(5, 0.2, blurred=5, weak=True)).text.replace("whether filming again", "")


def test_a_rise_counts_only_if_it_is_unlikely_by_chance():
    assert not is_rising(None)
    assert is_rising(rise(LEAST_RISE)) and not is_rising(rise(LEAST_RISE - 0.001))
    # by chance, all of n videos do better once in 2^n
    assert [rise(0.5, better=n).p_value for n in (0, 1, 4, 5)] == pytest.approx([1, 1 / 2, 1 / 16, 1 / 32])
    assert 1 / 32 <= MOST_P_VALUE < 1 / 16
    assert is_rising(rise(0.5, better=5)) and not is_rising(rise(0.5, better=4))
    # 9 or more heads in 10 throws: 11 of 1024
    assert rise(0.5, better=9, worse=1).p_value == pytest.approx(11 / 1024)
    assert not is_rising(rise(0.5, better=6, worse=4))
