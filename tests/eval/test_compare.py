import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.compare import Comparison, compare, comparison_markdown, comparison_text, finding
from eval.formats.records import Task, TaskSet, VideoPlan
from eval.metrics import METRICS
from eval.score import score
from groundwork.errors import DataError, UsageError


@pytest.fixture
def cards(make_tasks, make_predictions):
    def cards(seed=0, **how):
        tasks = make_tasks(seed, **how)
        return score(tasks, make_predictions(tasks, 1)), score(tasks, make_predictions(tasks, 2))

    return cards


def parts(comparison):
    for name in METRICS:
        both = getattr(comparison.overall, name)
        yield both.per_video
        yield both.per_user


def test_a_card_compared_with_itself_differs_nowhere(cards):
    card, _ = cards()
    comparison = compare(card, card)
    for part in parts(comparison):
        assert part.difference == part.bootstrap_over_users.low == part.bootstrap_over_users.high == 0
        assert (part.a_better, part.same, part.b_better) == (0, part.n, 0)
    for place in (*comparison.users, *comparison.objects, *comparison.videos):
        assert place.difference == 0
    assert "B is the same as A" in finding(comparison)


@pytest.mark.parametrize("seed", range(12))
def test_the_other_way_round_is_the_same_with_the_signs_changed(cards, seed):
    a, b = cards(seed)
    forth, back = compare(a, b), compare(b, a, names=("B", "A"))
    for there, here in zip(parts(forth), parts(back), strict=True):
        assert (there.a, there.b, there.difference) == (here.b, here.a, -here.difference)
        assert (there.a_better, there.same, there.b_better) == (here.b_better, here.same, here.a_better)
        interval, turned = there.bootstrap_over_users, here.bootstrap_over_users
        assert (interval.low, interval.high) == pytest.approx((-turned.high, -turned.low), abs=1e-12)
    assert [(p.video, p.difference) for p in forth.videos] == [(p.video, -p.difference) for p in back.videos]


@pytest.mark.parametrize("seed", range(6))
def test_the_means_are_the_scorecards_and_every_video_is_counted(cards, seed):
    a, b = cards(seed)
    comparison = compare(a, b)
    for name in METRICS:
        both = getattr(comparison.overall, name)
        for how in ("per_video", "per_user"):
            part = getattr(both, how)
            assert part.a == pytest.approx(getattr(getattr(a.overall, name), how).mean)
            assert part.b == pytest.approx(getattr(getattr(b.overall, name), how).mean)
            assert part.difference == pytest.approx(part.b - part.a)
            assert part.a_better + part.same + part.b_better == part.n
        # for some metrics lower is better
        gains = [getattr(y, name) - getattr(x, name) for x, y in zip(a.per_video, b.per_video, strict=True)]
        better = sum(gain > 1e-12 if METRICS[name].higher_is_better else gain < -1e-12 for gain in gains)
        assert both.per_video.b_better == better
    assert sum(place.n for place in comparison.videos) == len(a.per_video)
    assert len(comparison.users) == a.counts.users
    assert len(comparison.objects) == a.counts.objects
    assert len(comparison.videos) == a.counts.videos
    sizes = [round(abs(place.difference), 12) for place in comparison.videos]
    assert sizes == sorted(sizes, reverse=True)


def card_of(of_user, seed=0):
    """A scorecard with one video of 1,000 frames for each given accuracy; maps users to accuracies."""
    tasks, rows = [], []
    for user, accuracies in of_user.items():
        frames = tuple(range(1, 1001))
        videos = tuple(VideoPlan(f"{user}--{i}", 0, frames) for i in range(len(accuracies)))
        tasks.append(Task(user, 0, ("bag", "mug"), (), videos))
        for plan, accuracy in zip(videos, accuracies, strict=True):
            right = round(1000 * float(np.clip(accuracy, 0, 1)))
            predicted = np.r_[np.zeros(right, dtype=np.int32), np.ones(1000 - right, dtype=np.int32)]
            rows.append(
                pd.DataFrame({"frame": np.arange(1, 1001), "prediction": predicted}).assign(
                    user=user, task=0, video=plan.video, confidence=0.5
                )
            )
    return score(TaskSet("orbit-2022", "test", seed, True, "f", (), tuple(tasks)), pd.concat(rows))


def test_pairing_finds_what_two_intervals_hide():
    """Users differ a lot, and the second recognizer is 2 points better for each, which pairing detects."""
    rng = np.random.default_rng(0)
    first = {f"P{i}": np.clip(rng.normal(0.6, 0.2) + rng.normal(0, 0.02, 5), 0.05, 0.9) for i in range(12)}
    second = {user: values + 0.02 + rng.normal(0, 0.004, 5) for user, values in first.items()}
    a, b = card_of(first), card_of(second)
    part = compare(a, b).overall.frame_accuracy.per_user
    assert 0.015 < part.bootstrap_over_users.low < part.difference < part.bootstrap_over_users.high < 0.025
    alone = (card.overall.frame_accuracy.per_user.bootstrap_over_users for card in (a, b))
    low, high = next(alone), next(alone)
    assert low.high > high.low  # the two separate intervals overlap


def test_the_interval_covers_the_true_difference_of_new_users():
    """24 users; the true difference is 3 points with a std of 4 points over users: about 95 of 100 intervals contain
    it."""
    from eval.compare import _difference

    rng = np.random.default_rng(1)
    trials, covered = 400, 0
    for trial in range(trials):
        of_user = rng.normal(0.03, 0.04, size=24)
        counts = rng.integers(5, 15, size=24)
        base = rng.uniform(0.3, 0.7, size=counts.sum())
        gain = np.repeat(of_user, counts) + rng.normal(0, 0.02, size=counts.sum())
        rows = pd.DataFrame(
            {
                "user": np.repeat([f"P{i}" for i in range(24)], counts),
                "frame_accuracy a": base,
                "frame_accuracy b": base + gain,
                "frame_accuracy difference": gain,
            }
        )
        interval = _difference(rows, "frame_accuracy", unit="videos", seed=trial).bootstrap_over_users
        covered += interval.low <= 0.03 <= interval.high
    assert 0.91 <= covered / trials <= 0.98  # 95 %, 3 standard errors of 400 trials


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=3))
@settings(max_examples=10)
def test_the_difference_is_what_was_put_in(pairs):
    a = card_of({"P1": [first / 1000 for first, _ in pairs]})
    b = card_of({"P1": [second / 1000 for _, second in pairs]})
    comparison = compare(a, b)
    part = comparison.overall.frame_accuracy.per_video
    assert part.difference == pytest.approx(math.fsum(second - first for first, second in pairs) / 1000 / len(pairs))
    assert part.b_better == sum(second > first for first, second in pairs)
    assert "No interval: one user; at least 4 are needed." in finding(comparison)


def test_text_by_hand():
    """All wrong against all right for one user, one frame in 1,000 for the other; ten videos are shown, JSON has
    all."""
    a = card_of({"P1": [0.0] * 12, "P2": [0.5]})
    b = card_of({"P1": [1.0] * 12, "P2": [0.499]})
    comparison = compare(a, b)
    assert [(place.user, place.a, place.b, place.difference, place.n) for place in comparison.users] == [
        ("P1", 0.0, 1.0, 1.0, 12),
        ("P2", 0.5, 0.499, pytest.approx(-0.001), 1),
    ]
    rows = [line.split() for line in comparison_text(comparison).splitlines()]
    assert ["P1", "12", "0.00", "100.00", "+100.00"] in rows
    assert ["P2", "1", "50.00", "49.90", "-0.10"] in rows
    assert sum(row[0].startswith("P1--") for row in rows if row) == 10
    assert len(comparison.videos) == 13
    assert finding(comparison).startswith(
        "Frame accuracy, mean over 13 videos of tasks: B is 92.30 points above A. No "
    )
    assert "B is 92.30 points below A" in finding(compare(b, a))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"protocol": "orbit-2021-clu-ve"},
            "before has protocol orbit-2022, after has orbit-2021-clu-ve: they can't be compared",
        ),
        ({"split": "validation"}, "before has split test, after has validation: they can't be compared"),
        (
            {"tasks_fingerprint": "ab" * 32},
            "before and after have different tasks .*abababababab.*, so they can't be compared",
        ),
    ],
)
def test_other_tasks_are_refused_in_one_line(change, expected):
    card = card_of({"P1": [0.5]})
    with pytest.raises(UsageError, match=expected) as raised:
        compare(card, card.model_copy(update=change), names=("before", "after"))
    assert "\n" not in str(raised.value)


def test_cards_with_a_wrong_fingerprint_are_a_data_error(cards):
    a, b = cards()
    with pytest.raises(DataError, match="hold different videos"):
        compare(a, b.model_copy(update={"per_video": b.per_video[1:]}))


def test_cards_with_a_duplicate_video_are_a_data_error(cards):
    """The cards agree, but can't be paired: each of the two rows would match both rows of the other card."""
    a, _ = cards()
    twice = a.model_copy(update={"per_video": (*a.per_video, a.per_video[0])})
    with pytest.raises(DataError, match="hold different videos"):
        compare(twice, twice)


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [
        (-0.02, 0.03, "inside"),
        (0.0, 0.03, "inside"),
        (-0.02, 0.0, "inside"),
        (1e-9, 0.03, "outside"),
        (-0.03, -1e-9, "outside"),
    ],
)
def test_the_finding_says_on_which_side_of_the_interval_0_is(cards, low, high, reading):
    comparison = compare(*cards())
    part = comparison.overall.frame_accuracy.per_video
    interval = dataclasses.replace(part.bootstrap_over_users, low=low, high=high)
    part = part.model_copy(update={"bootstrap_over_users": interval})
    metric = comparison.overall.frame_accuracy.model_copy(update={"per_video": part})
    overall = comparison.overall.model_copy(update={"frame_accuracy": metric})
    assert f"(0 is {reading}" in finding(comparison.model_copy(update={"overall": overall}))


def test_singular_and_plural(cards):
    comparison = compare(*cards())
    metric = comparison.overall.frame_accuracy
    one = {name: getattr(metric, name).model_copy(update={"n": 1}) for name in ("per_video", "per_user")}
    overall = comparison.overall.model_copy(update={"frame_accuracy": metric.model_copy(update=one)})
    text = comparison_text(comparison.model_copy(update={"overall": overall}))
    assert "1 user " in text and "1 video of a task " in text and "1 users" not in text


def test_text_and_markdown_say_the_same_and_json_holds_all(cards):
    a, b = cards()
    comparison = compare(a, b, names=("old\x1b[31m", "new|er"))
    text, page = comparison_text(comparison), comparison_markdown(comparison)
    assert "\x1b" not in text + page
    assert r"new\|er" in page
    assert page.startswith("# ")
    assert f"{100 * comparison.overall.frame_accuracy.per_video.difference:+.2f}" in text
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## Overall",
        "## Users",
        "## Objects",
        "## Videos",
    ]
    content = json.loads(comparison.model_dump_json(by_alias=True))
    assert (content["kind"], content["schema"]) == ("comparison", 1)
    assert len(content["videos"]) == a.counts.videos
    assert Comparison.model_validate_json(json.dumps(content), strict=True) == comparison


def test_what_is_of_a_sample_of_frames_says_so(cards):
    sampled, whole = (comparison_text(compare(*cards(every=every))) for every in (False, True))
    for name in ("Frames to recognition (lower", "Video accuracy (higher"):
        assert f"{name} is better; of a sample of frames)" in sampled
    assert "of a sample" not in whole


def test_the_seed_is_the_tasks_own(cards):
    tasks_seed = cards(3)[0].seed
    assert compare(*cards(3)).overall.frame_accuracy.per_user.bootstrap_over_users.seed == tasks_seed
    assert dataclasses.asdict(compare(*cards(3)).overall.frame_accuracy.per_user.bootstrap_over_users)["n"] == 4
