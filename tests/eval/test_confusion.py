import numpy as np
import pandas as pd
import pytest

from eval.formats.records import Task, TaskSet, VideoPlan
from eval.score import score


def scored(*tasks, predicted):
    task_set = TaskSet("orbit-2022", "test", 0, False, "f", (), tasks)
    classes = iter(predicted)
    rows = [(t.user, t.task, p.video, f, next(classes), 0.5) for t in tasks for p in t.query for f in p.frames]
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    return score(task_set, table)


def test_by_hand_tasks_with_the_same_objects_are_pooled_and_others_kept_apart():
    bag, mug = VideoPlan("a", 0, (1, 2, 3)), VideoPlan("b", 1, (4,))
    card = scored(
        Task("P2", 0, ("bag", "mug"), (), (bag, mug)),
        Task("P1", 0, ("bag",), (), (bag,)),
        Task("P2", 1, ("bag", "mug"), (), (mug, bag)),
        Task("P2", 2, ("bag", "mug", "pen"), (), (bag,)),
        predicted=[0, 1, 0, 1, *(0, 0, 0), 0, 1, 1, 1, *(2, 0, 2)],
    )
    found = [(row.user, row.tasks, row.objects, row.frames) for row in card.confusion]
    assert found == [
        ("P1", 1, ("bag",), ((3,),)),
        # task 0: bag as bag, mug, bag; mug as mug. task 1: mug as bag; bag as mug three times
        ("P2", 2, ("bag", "mug"), ((2, 4), (1, 1))),
        ("P2", 1, ("bag", "mug", "pen"), ((1, 0, 2), (0, 0, 0), (0, 0, 0))),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_counts_agree_with_one_row_at_a_time(make_tasks, make_predictions, seed):
    tasks = make_tasks(seed)
    table = make_predictions(tasks, seed)
    truth = {(t.user, t.task, p.video): t.objects[p.label] for t in tasks.tasks for p in t.query}
    objects = {(t.user, t.task): t.objects for t in tasks.tasks}
    expected = {}
    for row in table.itertuples():
        names = objects[row.user, row.task]
        key = (row.user, truth[row.user, row.task, row.video], names[row.prediction])
        expected[key] = expected.get(key, 0) + 1
    card = score(tasks, table)
    found = {
        (row.user, shown, taken): count
        for row in card.confusion
        for shown, counts in zip(row.objects, row.frames, strict=True)
        for taken, count in zip(row.objects, counts, strict=True)
        if count
    }
    assert found == expected
    assert sum(expected.values()) == card.counts.frames
    for row in card.confusion:
        own = [video for video in card.per_video if video.user == row.user]
        right = sum(video.frame_accuracy * video.frames for video in own)
        assert np.trace(row.frames) == pytest.approx(right)
