import math
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from eval.by_annotation import BOX_SIZES, AnnotationFacts
from eval.formats.records import Task, TaskSet, VideoPlan
from eval.score import score
from groundwork.errors import DataError

BELOW_5, TO_15, TO_40, ABOVE_40, NO_BOX, NOT_ANNOTATED = BOX_SIZES


def box_facts(*rows):
    return AnnotationFacts(frames=pd.DataFrame(rows, columns=["user", "video", "frame", "box_share"]))


def support_facts(*rows):
    return AnnotationFacts(support=pd.DataFrame(rows, columns=["user", "video", "issue_share"]))


def scored(task_set, predicted, facts):
    classes = iter(predicted)
    rows = [(t.user, t.task, p.video, f, next(classes), 0.5) for t in task_set.tasks for p in t.query for f in p.frames]
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    return score(task_set, table, facts=facts).by_annotation


@pytest.fixture
def two_users():
    """Two tasks of P1 that share frames 2 and 3 of a video, and one task of P2 with a video of the same name."""
    tasks = (
        Task("P1", 0, ("bag",), (), (VideoPlan("a", 0, (1, 2, 3)),)),
        Task("P1", 1, ("bag",), (), (VideoPlan("a", 0, (2, 3)),)),
        Task("P2", 0, ("cap", "pen"), (), (VideoPlan("a", 1, (1, 9)),)),
    )
    return TaskSet("orbit-2022", "test", 4, False, "f", (), tasks)


def test_box_sizes_by_hand(two_users):
    facts = box_facts(
        ("P1", "a", 3, 0.4),  # a bound belongs to the bin above it
        ("P1", "a", 1, 0.01),
        ("P1", "a", 2, math.nan),
        ("P1", "a", 7, 0.5),  # not a query frame
        ("P1", "other", 1, 0.5),
        ("P2", "a", 1, 1.0),
    )
    found = scored(two_users, [0, 0, 0, 0, 0, 1, 0], facts)
    assert found.support_quality == ()
    groups = {group.name: group for group in found.box_size}
    assert {name: (group.n, group.frame_accuracy) for name, group in groups.items()} == {
        BELOW_5: (1, 1.0),
        ABOVE_40: (3, 1.0),  # frame 3 in two tasks, and P2's frame 1
        NO_BOX: (2, 1.0),
        NOT_ANNOTATED: (1, 0.0),  # P2's frame 9
    }
    assert [group.unit for group in found.box_size] == ["frames of tasks"] * 4
    assert groups[ABOVE_40].bootstrap_over_users.n == 2
    assert groups[ABOVE_40].bootstrap_over_users.seed == 4
    assert groups[BELOW_5].bootstrap_over_users.n == 1
    assert list(groups) == [name for name in BOX_SIZES if name in groups]  # in the order of size


@pytest.mark.parametrize(
    ("share", "name"), [(0, BELOW_5), (0.0499, BELOW_5), (0.05, TO_15), (0.15, TO_40), (0.3999, TO_40), (1, ABOVE_40)]
)
def test_a_bins_lower_edge_is_in_it(two_users, share, name):
    found = scored(two_users, [0] * 7, box_facts(("P1", "a", 1, share)))
    assert {group.name for group in found.box_size} == {name, NOT_ANNOTATED}


@pytest.mark.parametrize("seed", range(8))
def test_box_sizes_agree_with_one_frame_at_a_time(make_tasks, make_predictions, seed):
    tasks = make_tasks(seed)
    table = make_predictions(tasks, seed)
    rng = np.random.default_rng(seed)
    facts = table[["user", "video", "frame"]].drop_duplicates().sample(frac=0.9, random_state=seed)
    facts = facts.assign(box_share=np.where(rng.random(len(facts)) < 0.2, np.nan, rng.random(len(facts)) ** 2))
    shares = {(row.user, row.video, row.frame): row.box_share for row in facts.itertuples()}
    truth = {(t.user, t.task, p.video): p.label for t in tasks.tasks for p in t.query}
    expected = {name: [] for name in BOX_SIZES}
    for row in table.itertuples():
        share = shares.get((row.user, row.video, row.frame), -1)
        edges = ((0, NOT_ANNOTATED), (0.05, BELOW_5), (0.15, TO_15), (0.40, TO_40), (2, ABOVE_40))
        name = NO_BOX if math.isnan(share) else next(name for edge, name in edges if share < edge)
        expected[name].append(row.prediction == truth[row.user, row.task, row.video])
    found = score(tasks, table, facts=AnnotationFacts(frames=facts.astype({"user": "category", "video": "category"})))
    for group in found.by_annotation.box_size:
        assert group.n == len(expected[group.name])
        assert group.frame_accuracy == pytest.approx(fmean(expected[group.name]))
    assert {group.name for group in found.by_annotation.box_size} == {name for name in BOX_SIZES if expected[name]}


@pytest.fixture
def three_objects():
    """Objects with 10 + 30, 10 and 10 support frames; the second has two query videos."""
    support = (
        VideoPlan("bag-1", 0, tuple(range(1, 11))),
        VideoPlan("bag-2", 0, tuple(range(1, 31))),
        VideoPlan("cap-1", 1, tuple(range(1, 11))),
        VideoPlan("pen-1", 2, tuple(range(1, 11))),
    )
    query = (VideoPlan("q", 0, (1, 2)), VideoPlan("r", 1, (1, 2)), VideoPlan("s", 1, (1,)), VideoPlan("t", 2, (1,)))
    tasks = tuple(Task("P1", number, ("bag", "cap", "pen"), support, query) for number in (0, 1))
    return TaskSet("orbit-2021-clu-ve", "test", 0, True, "f", (), tasks)


def test_support_quality_by_hand(three_objects):
    facts = support_facts(("P1", "bag-1", 1.0), ("P1", "bag-2", 0.2), ("P1", "cap-1", 0.9), ("P1", "pen-1", 0.0))
    found = scored(three_objects, [0, 1, 1, 1, 0, 2, 0, 0, 1, 1, 0, 2], facts)
    assert found.box_size == ()
    # bag: (10 * 1.0 + 30 * 0.2) / 40 = 0.4; pen 0.0; cap 0.9; edges at a third and two thirds: 0.267 and 0.567
    names = [group.name for group in found.support_quality]
    assert names == [
        "fewest issues: at most 26.7 % of support frames",
        "middle: above 26.7 %, at most 56.7 %",
        "most issues: above 56.7 %",
    ]
    few, middle, most = found.support_quality
    assert (few.n, few.frame_accuracy, few.unit) == (2, 1.0, "videos of tasks")
    assert (middle.n, middle.frame_accuracy) == (2, 0.75)  # half of them right, then all
    assert (most.n, most.frame_accuracy) == (4, 0.5)  # video r right, s wrong, in both tasks


def test_support_videos_that_nobody_judged_do_not_count(three_objects):
    known = support_facts(("P1", "bag-1", 0.5), ("P1", "bag-2", math.nan), ("P9", "cap-1", 0.1))
    found = scored(three_objects, [0] * 12, known).support_quality
    assert [(group.name, group.n) for group in found] == [
        ("fewest issues: at most 50.0 % of support frames", 2),
        ("not annotated", 6),
    ]
    (unknown,) = scored(three_objects, [0] * 12, support_facts()).support_quality
    assert (unknown.name, unknown.n) == ("not annotated", 8)


def test_without_facts_nothing_is_said(two_users):
    assert scored(two_users, [0] * 7, None) is None
    nothing = scored(two_users, [0] * 7, AnnotationFacts())
    assert nothing.box_size == nothing.support_quality == ()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (AnnotationFacts(frames=pd.DataFrame({"user": ["P1"]})), "frame facts: no column video"),
        (AnnotationFacts(support=pd.DataFrame({"user": [], "video": []})), "support facts: no column issue_share"),
        (box_facts(("P1", "a", 1, 12.0)), "box_share from 12.0 to 12.0; expected fractions"),
        (box_facts(("P1", "a", 1, 1.001)), "box_share from 1.001 to 1.001; expected fractions"),
        (box_facts(("P1", "a", 1, 0.1), ("P1", "a", 1, 0.2)), "user 'P1', video 'a', frame .*1.* appears twice"),
        (support_facts(("P1", "a", -0.1)), "issue_share from -0.1"),
        (support_facts(("P1", "a", 0.1), ("P1", "a", 0.1)), "appears twice"),
    ],
)
def test_invalid_tables_of_facts_are_a_data_error(two_users, facts, expected):
    with pytest.raises(DataError, match=expected):
        scored(two_users, [0] * 7, facts)
