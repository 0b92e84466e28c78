import csv
import dataclasses

import numpy as np
import pandas as pd
import pytest

from eval.formats.records import Task, TaskSet, VideoPlan
from eval.report import PredictedTasks, write_report
from eval.report.timelines import Timeline, chosen_timelines, timeline_finding, timeline_picture
from eval.report.videos import video_tables, worst_first
from eval.score import score
from groundwork.errors import DataError, UsageError


def timeline(predictions, frames=None, objects=("bag", "mug", "pen"), label=1):
    count = len(predictions)
    return Timeline(
        user="P1",
        task=0,
        video="v",
        label=label,
        objects=objects,
        frames=np.array(frames or range(1, count + 1)),
        predictions=np.array(predictions),
        confidence=np.linspace(0.3, 0.9, count),
    )


def test_the_finding_by_hand():
    assert timeline_finding(timeline([0, 0, 2, 1, 1], frames=[3, 7, 8, 20, 21])) == (
        "Timeline of predictions: mug is recognized in 40.0 % of 5 frames, first in frame 20, after 60.0 % of them; "
        "most often mistaken for bag (40.0 %) and pen (20.0 %). The data are in timelines.csv."
    )
    assert "mug is never recognized in 2 frames; most often mistaken for bag (100.0 %)." in timeline_finding(
        timeline([0, 0])
    )
    assert "never mistaken for another object" in timeline_finding(timeline([1]))


def test_the_first_recognition_is_marked_where_there_is_one():
    seen, never = timeline_picture(timeline([0, 1, 2])), timeline_picture(timeline([0, 0, 2]))
    marks = [b"stroke-dasharray" in picture for picture in (seen, never)]
    assert marks == [True, False]


def test_mistakes_are_told_by_their_pattern_and_not_by_color_alone():
    assert b"<pattern" in timeline_picture(timeline([0, 1, 1]))
    assert b"<pattern" not in timeline_picture(timeline([1, 1, 1]))


@pytest.mark.parametrize("predictions", [[1], [0], [1, 1], [0, 1, 0, 1], [2] * 4000])
def test_any_length_can_be_drawn(predictions):
    assert timeline_picture(timeline(predictions)).startswith(b"<?xml")


@pytest.fixture
def sixteen():
    """Videos 0 to 15 of one user in two tasks: the first k of video k's 15 frames are right in both."""
    names = [f"v{number:02}" for number in range(16)]
    plans = tuple(VideoPlan(name, 1, tuple(range(1, 16))) for name in names)
    tasks = tuple(Task("P1", number, ("bag", "mug"), (), plans) for number in (0, 1))
    rows = [
        ("P1", task.task, plan.video, frame, int(frame <= place), 0.5)
        for task in tasks
        for place, plan in enumerate(plans)
        for frame in plan.frames
    ]
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    task_set = TaskSet("orbit-2021-clu-ve", "test", 0, True, "f", (), tasks)
    return score(task_set, table), PredictedTasks(task_set, table)


def test_videos_are_ranked_over_their_tasks(sixteen):
    card, _ = sixteen
    ranked = worst_first(card)
    assert [row.video for row in ranked] == [f"v{number:02}" for number in range(16)]
    assert ranked[5].metrics == (pytest.approx(5 / 15), 0, 0)  # 10 of 15 predicted as the bag
    assert {row.tasks for row in ranked} == {2}
    worst, best = video_tables(card, ranked)
    assert [row[0] for row in worst.rows] == [f"v{number:02}" for number in range(5)]
    assert [row[0] for row in best.rows] == [f"v{number:02}" for number in (15, 14, 13, 12, 11)]
    (everything,) = video_tables(card, ranked[:10])
    assert len(everything.rows) == 10


def test_worst_middle_and_best_are_chosen_and_those_named_instead(sixteen):
    card, predicted = sixteen
    ranked = worst_first(card)
    chosen = chosen_timelines(card, predicted, ranked)
    assert [line.video for line in chosen] == ["v00", "v01", "v07", "v08", "v14", "v15"]
    assert {line.task for line in chosen} == {0}
    named = chosen_timelines(card, predicted, ranked, videos=["v09", "v03", "v09"])
    assert [line.video for line in named] == ["v09", "v03"]
    assert [line.video for line in chosen_timelines(card, predicted, ranked[:1])] == ["v00"]
    with pytest.raises(UsageError, match=r"no video 'v3' in the scorecard; the most similar of its 16 videos: .*v03"):
        chosen_timelines(card, predicted, ranked, videos=["v3"])


def test_the_csv_holds_what_the_pictures_show(tmp_path, sixteen):
    card, predicted = sixteen
    write_report(card, tmp_path, predicted=predicted, videos=["v03"])
    with (tmp_path / "timelines.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(1, 16))
    assert [row["predicted_object"] for row in rows] == ["mug"] * 3 + ["bag"] * 12
    assert [row["right"] for row in rows] == ["True"] * 3 + ["False"] * 12
    assert [row["first_recognition"] for row in rows] == ["True"] + ["False"] * 14
    assert {(row["timeline"], row["user"], row["task"], row["video"], row["object"]) for row in rows} == {
        ("1", "P1", "0", "v03", "mug")
    }
    assert (tmp_path / "timeline_1.svg").is_file()
    assert not (tmp_path / "timeline_2.svg").exists()


def test_the_order_of_rows_does_not_matter(sixteen):
    card, predicted = sixteen
    shuffled = dataclasses.replace(predicted, predictions=predicted.predictions.sample(frac=1, random_state=0))
    narrow = dataclasses.replace(predicted, predictions=predicted.predictions.astype({"video": "category"}))
    (first,), (second,), (third,) = (
        chosen_timelines(card, tables, worst_first(card), videos=["v04"]) for tables in (predicted, shuffled, narrow)
    )
    assert first.predictions.tolist() == second.predictions.tolist() == third.predictions.tolist()


def test_tasks_or_predictions_of_another_run_are_a_data_error(tmp_path, sixteen):
    card, predicted = sixteen
    other_tasks = dataclasses.replace(predicted.tasks, seed=9)
    with pytest.raises(DataError, match="tasks don't belong to the scorecard"):
        write_report(card, tmp_path, predicted=dataclasses.replace(predicted, tasks=other_tasks))
    for table in (predicted.predictions.assign(prediction=1), predicted.predictions.iloc[1:]):
        with pytest.raises(DataError, match="video v00: the predictions don't belong to the scorecard"):
            write_report(card, tmp_path, predicted=dataclasses.replace(predicted, predictions=table))
    assert list(tmp_path.iterdir()) == []
