import dataclasses
import json
import math
from collections import defaultdict
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from eval.compare import compare, comparison_text
from eval.formats.records import Scorecard, Task, TaskSet, VideoPlan, tasks_fingerprint
from eval.formats.scorecard import Cost, TaskCost
from eval.metrics import METRICS
from eval.score import mean_by, score, score_videos
from groundwork.errors import DataError


def brute_scores(task_set, predictions):
    """The scores of (user, task, object, video), one video at a time, with the metric functions."""
    by_video = defaultdict(dict)
    for row in predictions.itertuples():
        by_video[row.user, row.task, row.video][row.frame] = row.prediction
    scores = {}
    for task in task_set.tasks:
        for plan in task.query:
            predicted = by_video[task.user, task.task, plan.video]
            in_order = np.array([predicted[frame] for frame in sorted(predicted)])
            key = (task.user, task.task, task.objects[plan.label], plan.video)
            scores[key] = {name: metric.function(in_order, plan.label) for name, metric in METRICS.items()}
    return scores


@pytest.mark.parametrize("seed", range(25))
def test_scores_agree_with_one_video_at_a_time(make_tasks, make_predictions, seed):
    task_set = make_tasks(seed)
    predictions = make_predictions(task_set, seed)
    scores = brute_scores(task_set, predictions)
    card = score(task_set, predictions)
    assert {(row.user, row.task, row.object, row.video) for row in card.per_video} == set(scores)
    users = sorted({key[0] for key in scores})
    for name in METRICS:
        for row in card.per_video:
            assert getattr(row, name) == scores[row.user, row.task, row.object, row.video][name]

        def mean(*wanted, at, name=name):
            return fmean(value[name] for key, value in scores.items() if tuple(key[i] for i in at) == wanted)

        for row in card.per_task:
            assert getattr(row, name) == pytest.approx(mean(row.user, row.task, at=(0, 1)))
        for row in card.per_object:
            assert getattr(row, name) == pytest.approx(mean(row.user, row.object, at=(0, 2)))
        for row in card.per_user:
            assert getattr(row, name) == pytest.approx(mean(row.user, at=(0,)))
        summary = getattr(card.overall, name)
        assert summary.per_video.mean == pytest.approx(mean(at=()))
        assert summary.per_user.mean == pytest.approx(fmean(mean(user, at=(0,)) for user in users))
        values = [value[name] for value in scores.values()]
        half_width = 1.96 * math.sqrt(fmean((v - fmean(values)) ** 2 for v in values)) / math.sqrt(len(values))
        assert summary.per_video.protocol_interval.half_width == pytest.approx(half_width, abs=1e-12)
    assert [row.user for row in card.per_user] == users


def test_a_small_scorecard_by_hand():
    """Two users: P1 with two tasks of one video, P2 with one task of two videos; all numbers are computed by hand."""
    task_set = TaskSet(
        "orbit-2021-clu-ve",
        "test",
        7,
        True,
        "abc",
        (),
        (
            Task("P1", 0, ("bag", "mug"), (), (VideoPlan("a", 1, (1, 2, 3, 4)),)),
            Task("P1", 1, ("bag", "mug"), (), (VideoPlan("a", 1, (1, 2, 3, 4)),)),
            Task("P2", 0, ("cap", "pen"), (), (VideoPlan("b", 0, (5, 9)), VideoPlan("c", 1, (1, 2)))),
        ),
    )
    videos = score_videos_of(task_set, {("P1", 0): [0, 1, 1, 1], ("P1", 1): [1, 1, 1, 1], ("P2", 0): [0, 0, 0, 0]})
    assert videos["frame_accuracy"].tolist() == [0.75, 1.0, 1.0, 0.0]
    assert videos["frames_to_recognition"].tolist() == [0.25, 0.0, 0.0, 1.0]
    assert videos["video_accuracy"].tolist() == [1.0, 1.0, 1.0, 0.0]
    card = score(task_set, table_of(task_set, {("P1", 0): [0, 1, 1, 1], ("P1", 1): [1] * 4, ("P2", 0): [0] * 4}))
    accuracy = card.overall.frame_accuracy
    assert accuracy.per_video.mean == (0.75 + 1 + 1 + 0) / 4
    assert accuracy.per_user.mean == (0.875 + 0.5) / 2
    assert (accuracy.per_video.n, accuracy.per_user.n) == (4, 2)
    bootstrap = accuracy.per_video.bootstrap_over_users
    assert (bootstrap.low, bootstrap.high, bootstrap.n, bootstrap.seed) == (None, None, 2, 7)  # too few users
    assert card.counts.model_dump() == {
        "users": 2,
        "tasks": 3,
        "objects": 3,
        "videos": 3,
        "video_scores": 4,
        "frames": 12,
    }
    assert [(row.user, row.tasks, row.objects, row.videos) for row in card.per_user] == [
        ("P1", 2, 1, 1),
        ("P2", 1, 2, 2),
    ]
    assert [(row.user, row.object, row.tasks, row.videos) for row in card.per_object] == [
        ("P1", "mug", 2, 1),
        ("P2", "cap", 1, 1),
        ("P2", "pen", 1, 1),
    ]
    assert card.tasks_fingerprint == tasks_fingerprint(task_set)


def table_of(task_set, predicted):
    rows = []
    for task in task_set.tasks:
        classes = iter(predicted[task.user, task.task])
        rows += [(task.user, task.task, p.video, f, next(classes), 0.5) for p in task.query for f in p.frames]
    return pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])


def score_videos_of(task_set, predicted):
    return score_videos(task_set, table_of(task_set, predicted))


def test_the_order_and_types_of_rows_do_not_matter(task_set, predictions):
    first = score(task_set, predictions)
    shuffled = predictions.sample(frac=1, random_state=4)
    narrow = shuffled.astype({"user": "category", "video": "category", "frame": "int32", "prediction": "int16"})
    assert score(task_set, shuffled) == first
    assert score(task_set, narrow) == first


def test_the_table_given_is_not_changed(task_set, predictions):
    before = predictions.copy(deep=True)
    score(task_set, predictions)
    assert predictions.equals(before)


def test_a_sample_of_frames_is_noted(make_tasks, make_predictions):
    every, sampled = make_tasks(every=True), make_tasks(every=False)
    assert score(every, make_predictions(every)).notes == ()
    assert "sample" in score(sampled, make_predictions(sampled)).notes[0]


def test_what_was_left_out_and_where_it_comes_from_is_kept(task_set, predictions):
    card = score(task_set, predictions, provenance={"model": "x"})
    assert card.left_out == task_set.left_out
    assert card.provenance == {"model": "x"}
    assert (card.protocol, card.split, card.seed) == (task_set.protocol, task_set.split, task_set.seed)


def test_nothing_is_scored_until_predictions_are_whole(task_set, predictions):
    with pytest.raises(DataError, match=r"mine: the predictions don't match the tasks, 1 fault: .*missing"):
        score(task_set, predictions.iloc[1:], source="mine")
    with pytest.raises(DataError, match="nothing to score"):
        score(dataclasses.replace(task_set, tasks=()), predictions)


@pytest.mark.parametrize("column", ["user", "task", "video", "frame", "prediction", "confidence"])
def test_a_column_that_is_missing_is_named(task_set, predictions, column):
    with pytest.raises(DataError, match=f"mine: .*{column}"):
        score(task_set, predictions.drop(columns=column), source="mine")


def test_what_personalizing_took_is_kept(task_set, predictions):
    cost = Cost.of([TaskCost(user="P1", task=0, macs_to_personalize=5)], source="by hand")
    assert score(task_set, predictions, cost=cost).cost == cost
    assert score(task_set, predictions).cost is None


def test_mean_by_serves_every_level(task_set, predictions):
    rows = score_videos(task_set, predictions)
    everything = mean_by(rows, "user", "task", "object", "video")
    assert len(everything) == len(rows)
    assert list(mean_by(rows, "user").columns) == ["user", "tasks", "objects", "videos", *METRICS]
    assert mean_by(rows, "user")["user"].is_monotonic_increasing


def single_images(make_tasks):
    """A task set of single images: the first frame of each plan."""
    made = make_tasks()
    first = [
        dataclasses.replace(
            task,
            support=tuple(dataclasses.replace(plan, frames=plan.frames[:1]) for plan in task.support),
            query=tuple(dataclasses.replace(plan, frames=plan.frames[:1]) for plan in task.query),
        )
        for task in made.tasks
    ]
    return dataclasses.replace(made, every_query_frame=False, single_images=True, tasks=tuple(first))


def test_single_images_are_scored_by_task_and_have_no_metric_that_goes_by_time(make_tasks, make_predictions):
    tasks = single_images(make_tasks)
    table = make_predictions(tasks)
    card = score(tasks, table)
    right = {(task.user, task.task): {plan.video: plan.label for plan in task.query} for task in tasks.tasks}
    accuracies = [
        fmean(row.prediction == right[user, number][row.video] for row in own.itertuples())
        for (user, number), own in table.groupby(["user", "task"])
    ]
    assert card.overall.frame_accuracy.headline.mean == pytest.approx(fmean(accuracies))
    assert card.overall.frame_accuracy.headline.n == len(tasks.tasks)
    assert card.overall.frame_accuracy.per_video.unit == "images of tasks"
    assert card.metrics == ("frame_accuracy",) and card.overall.frames_to_recognition is None
    assert card.per_video == () and card.confusion == ()
    assert any("images have no order in time" in note for note in card.notes)


def test_a_users_mean_of_single_images_is_over_tasks_of_any_size(make_tasks, make_predictions):
    """As the headline, and as `compare` computes it."""
    tasks = single_images(make_tasks)
    first, *others = tasks.tasks
    tasks = dataclasses.replace(tasks, tasks=(dataclasses.replace(first, query=first.query[:1]), *others))
    a, b = (score(tasks, make_predictions(tasks, seed)) for seed in (0, 1))
    by_user = {user: [row for row in a.per_task if row.user == user] for user in (row.user for row in a.per_user)}
    assert any(len({row.videos for row in rows}) > 1 for rows in by_user.values())
    for user in a.per_user:
        assert user.frame_accuracy == pytest.approx(fmean(row.frame_accuracy for row in by_user[user.user]))
    paired = compare(a, b)
    assert paired.overall.frame_accuracy.per_user.a == pytest.approx(a.overall.frame_accuracy.per_user.mean)
    assert paired.overall.frame_accuracy.per_user.b == pytest.approx(b.overall.frame_accuracy.per_user.mean)
    assert {place.user: place.n for place in paired.users} == {user: len(rows) for user, rows in by_user.items()}
    assert "drawing each user's tasks, or whole users for the mean over users, the same" in comparison_text(paired)
    assert "User  Tasks  " in comparison_text(paired) and "Videos of tasks" not in comparison_text(paired)


def test_a_scorecard_has_all_metrics_or_is_of_single_images(make_tasks, make_predictions):
    """One kind can't be mistaken for the other."""
    tasks, images = make_tasks(), single_images(make_tasks)
    for task_set, other in ((tasks, True), (images, False)):
        card = json.loads(score(task_set, make_predictions(task_set)).model_dump_json(by_alias=True))
        assert Scorecard.model_validate_json(json.dumps(card)).single_images is not other
        with pytest.raises(ValueError, match=r"single images|mean over tasks"):
            Scorecard.model_validate_json(json.dumps({**card, "single_images": other}))
