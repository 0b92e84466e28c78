"""What to film next: each rule on its own side of its threshold."""

import pytest

from orbit_lite.personal.filming_advice import CONFUSED, FEW_VIDEOS, RISES, WELL, Measured, advise, rises
from orbit_lite.personal.learning_curve import Rise

CLEAN: tuple[str, ...] = ()


def rise(gain, better=3, worse=0):
    return Rise(few=2, many=4, before=0.5, after=0.5 + gain, better=better, worse=worse)


def measured(videos=5, accuracy=0.5, *, taken_for="", share=0.0, gain=None, blurred=0, **more):
    issues = [("blurred",)] * blurred + [CLEAN] * (videos - blurred)
    return Measured(issues, accuracy, taken_for, share, None if gain is None else rise(gain, **more))


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (measured(1, None), "single", "A single video can't be checked"),
        (measured(2, 1.0), "few", "With 2 videos it can't be told"),
        (measured(FEW_VIDEOS, WELL), "well", "Recognised well"),
        (measured(5, WELL - 0.01, gain=RISES), "more", "50 % were recognised when 2 videos taught it, 55 % with 4"),
        (measured(5, 0.5, gain=RISES - 0.01), "other", "More videos have not helped so far"),
        (measured(5, 0.5, gain=0.3, better=2, worse=2), "other", "More videos have not helped so far"),
        (measured(5, 0.5, gain=-0.2), "other", "More videos have not helped so far"),
        (measured(5, 0.5, taken_for="mug", share=CONFUSED, gain=0.0), "apart", "taken for mug: film both"),
        (measured(5, 0.5, taken_for="mug", share=CONFUSED - 0.01, gain=0.0), "other", "in other places"),
        (measured(5, 0.5), "unknown", "was not measured"),
    ],
)
def test_each_rule(found, kind, said):
    advice = advise(found)
    assert advice.kind == kind
    assert said in advice.text
    assert "blurred" not in advice.text


@pytest.mark.parametrize("found", [measured(2, 0.5), measured(5, 0.5, gain=RISES), measured(5, 0.5)])
def test_the_object_it_is_taken_for_is_named_whatever_else_is_said(found):
    confused = Measured(found.issues, found.accuracy, "mug", CONFUSED, found.rise)
    assert advise(confused).kind == advise(found).kind
    assert "It was often taken for mug: film both from the sides where they differ." in advise(confused).text
    assert "mug" not in advise(Measured(found.issues, 0.95, "mug", 0.05, found.rise)).text


def test_videos_filmed_badly_come_first():
    advice = advise(measured(5, 0.5, gain=RISES, blurred=3))
    assert advice.kind == "again"
    assert advice.text.startswith("Film again: 3 of your 5 clips are blurred; hold still")
    assert "More videos are likely to help" in advice.text  # and the rest is not lost
    assert advise(measured(1, None, blurred=1)).kind == "again"
    # where all is recognised there is nothing to film again, but it is said
    well = advise(measured(5, 1.0, blurred=1))
    assert well.kind == "well"
    assert well.text.startswith("Recognised well") and "All the same: 1 of your 5 clips is blurred" in well.text


def test_a_single_word_for_rising():
    assert rises(rise(RISES)) and not rises(rise(RISES - 0.001)) and not rises(None)
    assert not rises(rise(0.5, better=1, worse=1))
