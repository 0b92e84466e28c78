"""What to film next: each rule on its own side of its threshold."""

import pytest

from orbit_lite.personal.checking.filming_advice import CONFUSED, FEW_VIDEOS, LUCK, RISES, WELL, Measured, advise, rises
from orbit_lite.personal.checking.learning_curve import Rise


def rise(gain, better=5, worse=0):
    return Rise(few=2, many=4, before=0.5, after=0.5 + gain, better=better, worse=worse)


def measured(videos=5, accuracy=0.5, *, confused=0.0, own=None, all_objects=None, blurred=0, others=2, weak=False):
    issues = [("blurred",)] * blurred + [()] * (videos - blurred)
    taken_for = "mug" if confused else ""
    return Measured(issues, accuracy, taken_for, confused, others, own, all_objects, weak)


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (measured(1, None), "single", "A single video can't be checked"),
        (measured(FEW_VIDEOS - 1, 1.0), "few", "2 videos are few"),
        (measured(FEW_VIDEOS, WELL, own=rise(0.3)), "well", "Recognized well"),
        (measured(5, WELL - 0.01, own=rise(RISES)), "more", "50 % of its frames were recognized, with 4 55 %."),
        (measured(5, 0.5, all_objects=rise(RISES, 12, 3)), "more", "More videos of all objects are likely to help."),
        (measured(5, 0.5, own=rise(RISES - 0.01)), "other", "in other places and from other sides"),
        (measured(5, 0.5, own=rise(0.3, better=3)), "other", "in other places and from other sides"),
        (measured(5, 0.5, confused=CONFUSED), "apart", "often taken for mug: film both"),
        (measured(5, 0.5, confused=CONFUSED - 0.01), "other", "taken for several others"),
        (measured(5, 0.5, confused=CONFUSED - 0.01, others=1), "other", "Film it in other places"),
        (measured(5, 0.1, weak=True, blurred=0), "start", "can't be said from this start"),
    ],
)
def test_each_rule(found, kind, said):
    advice = advise(found)
    assert advice.kind == kind
    assert said in advice.text
    assert "blurred" not in advice.text


@pytest.mark.parametrize("options", [{"videos": 2}, {"own": rise(RISES)}, {"all_objects": rise(RISES)}, {}])
def test_the_object_it_is_taken_for_is_named_whatever_else_is_said(options):
    assert "taken for mug: film both from the sides" in advise(measured(**options, confused=CONFUSED)).text
    assert "mug" not in advise(measured(**options, confused=CONFUSED - 0.01)).text


def test_videos_filmed_badly_come_first():
    advice = advise(measured(5, 0.5, own=rise(RISES), blurred=3))
    assert advice.kind == "again"
    assert advice.text.startswith("Film again: 3 of your 5 clips are blurred; hold still")
    assert "More videos are likely to help" in advice.text  # and the rest is not lost
    assert advise(measured(1, None, blurred=1)).kind == "again"
    # where all is recognized there is nothing to film again
    assert advise(measured(5, 1.0, blurred=1)) == advise(measured(5, 1.0))


def test_from_a_weak_start_nobody_is_told_to_film_again():
    assert "ilm" not in advise(measured(5, 0.2, blurred=5, weak=True)).text.replace("Whether to film again can't", "")


def test_a_rise_counts_only_where_luck_would_seldom_bring_it():
    assert not rises(None)
    assert rises(rise(RISES)) and not rises(rise(RISES - 0.001))
    # by luck all of n videos do better once in 2^n
    assert [rise(0.5, better=n).by_luck for n in (0, 1, 4, 5)] == pytest.approx([1, 1 / 2, 1 / 16, 1 / 32])
    assert 1 / 32 <= LUCK < 1 / 16
    assert rises(rise(0.5, better=5)) and not rises(rise(0.5, better=4))
    # 9 or more heads in 10 throws: 11 of 1024
    assert rise(0.5, better=9, worse=1).by_luck == pytest.approx(11 / 1024)
    assert not rises(rise(0.5, better=6, worse=4))
