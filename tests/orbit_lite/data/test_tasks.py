import dataclasses
import json
import pickle
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.tree.annotations import NOT_PRESENT
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import annotation_path, frame_file_name
from eval.formats.records import read_tasks, write_tasks
from eval.score import score
from groundwork.errors import DataError, UsageError
from orbit_lite.config import load_protocol
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.training.experiment import load_experiment

ORBIT_PROTOCOLS = ["orbit-2021-cle-ve", "orbit-2021-clu-ve", "orbit-2022"]


def row(user, thing, video_type, number, frames, split="test"):
    video = f"{user}--{thing.replace(' ', '-')}--{video_type}--{number:02d}"
    return VideoRow(split, user, thing, video_type, video, frames, f"{split}/{video}", "x")


def tree(tmp_path, *, users=("P1", "P2"), objects=("bag", "my keys", "cup"), clean=3, clutter=2, frames=300, absent=()):
    """An index without images, and annotations: the frames in `absent` don't show the object."""
    rows = []
    for user in users:
        for thing in objects:
            rows += [row(user, thing, "clean", n, frames) for n in range(clean)]
            rows += [row(user, thing, "clutter", n, frames) for n in range(clutter)]
    index = Index(tmp_path, "frames", tuple(rows))
    for entry in rows:
        annotate(index, entry, absent)
    return index


def annotate(index, entry, absent):
    path = annotation_path(index.root, entry.split, entry.video)
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(1, entry.frames + 1)
    path.write_text(json.dumps({frame_file_name(entry.video, n): {NOT_PRESENT: n in absent} for n in numbers}))


def sampler(index, protocol, *, split="test", seed=1):
    return TaskSampler(index, load_protocol(protocol), split=split, seed=seed)


@pytest.mark.parametrize("protocol", ORBIT_PROTOCOLS)
def test_a_task_is_the_same_in_any_order_and_after_pickling(tmp_path, protocol):
    """Workers get a pickled sampler and draw in any order."""
    first = sampler(tree(tmp_path), protocol)
    numbers = [(user, task) for user in first.users for task in range(5)]
    tasks = {number: first.draw(*number) for number in numbers}
    pickled = pickle.dumps(first)
    assert b"TreeAnnotations" not in pickled  # annotations are read to choose videos, but not sent to the workers
    other = pickle.loads(pickled)
    random.Random(0).shuffle(numbers)
    assert all(other.draw(*number) == tasks[number] for number in numbers)


def test_a_task_depends_on_seed_and_number_and_not_on_other_users(tmp_path):
    index = tree(tmp_path)
    alone = Index(index.root, "frames", tuple(r for r in index.rows if r.user == "P2"))
    task = sampler(index, "orbit-2022").draw("P2", 3)
    assert sampler(alone, "orbit-2022").draw("P2", 3) == task
    assert sampler(index, "orbit-2022", seed=2).draw("P2", 3).query != task.query
    assert sampler(index, "orbit-2022").draw("P2", 4).query != task.query


def test_labels_index_sorted_objects(tmp_path):
    task = sampler(tree(tmp_path, objects=("zebra", "Bag", "my keys")), "orbit-2022").draw("P1", 0)
    assert task.objects == ("Bag", "my keys", "zebra")
    for plan in (*task.support, *task.query):
        assert plan.video.split("--")[1] == task.objects[plan.label].replace(" ", "-")


def test_orbit_2022_support_is_every_30th_of_all_clean_and_shared_by_all_tasks(tmp_path):
    tasks = sampler(tree(tmp_path, frames=2000), "orbit-2022").draw_all().tasks
    assert len(tasks) == 2 * 50
    assert len({task.support for task in tasks if task.user == "P1"}) == 1
    assert {plan.frames for plan in tasks[0].support} == {tuple(range(1, 1001, 30))}  # of the first 1,000
    assert len(tasks[0].support) == 3 * 3


def test_orbit_2022_query_is_200_frames_with_the_object(tmp_path):
    absent = set(range(100, 200))
    task = sampler(tree(tmp_path, frames=600, absent=absent), "orbit-2022").draw("P1", 0)
    assert all("--clutter--" in plan.video and len(plan.frames) == 200 for plan in task.query)
    assert not absent & {frame for plan in task.query for frame in plan.frames}
    assert all(list(plan.frames) == sorted(set(plan.frames)) for plan in task.query)


@pytest.mark.parametrize(("valid", "taken"), [(49, None), (50, 50), (200, 200), (201, 200)])
def test_orbit_2022_rule_of_50(tmp_path, valid, taken):
    """Fewer than 50 valid frames: out; 50 to 200: all; else 200 (FACTS of the protocol)."""
    index = tree(tmp_path, frames=300, clutter=2)
    short = next(r for r in index.rows if r.user == "P1" and r.video_type == "clutter")
    annotate(index, short, absent=range(valid + 1, 301))
    drawn = sampler(index, "orbit-2022")
    plans = {plan.video: plan for plan in drawn.draw("P1", 0).query}
    assert (len(plans[short.video].frames) if short.video in plans else None) == taken
    assert [entry.video for entry in drawn.left_out] == ([short.video] if taken is None else [])


def test_an_object_without_a_valid_query_video_leaves_the_task_and_is_listed(tmp_path):
    index = tree(tmp_path, clutter=1)
    annotate(index, next(r for r in index.rows if r.object == "cup" and r.video_type == "clutter"), range(1, 301))
    tasks = sampler(index, "orbit-2022").draw_all()
    assert {task.objects for task in tasks.tasks if task.user == "P1"} == {("bag", "my keys")}
    assert {task.objects for task in tasks.tasks if task.user == "P2"} == {("bag", "cup", "my keys")}
    assert ("P1", "cup", "") in [(entry.user, entry.object, entry.video) for entry in tasks.left_out]


@pytest.mark.parametrize("protocol", ORBIT_PROTOCOLS)
def test_support_sets_are_of_clean_videos_and_do_not_depend_on_annotations(tmp_path, protocol):
    """ORBIT's rules: neither clutter videos nor annotations may be used to personalize."""
    index = tree(tmp_path, users=("P1",))
    task = sampler(index, protocol).draw("P1", 0)
    assert all("--clean--" in plan.video for plan in task.support)
    for entry in index.rows:
        if entry.video_type == "clean":
            annotate(index, entry, absent=range(1, 200))
    assert sampler(index, protocol).draw("P1", 0) == task
    for entry in index.rows:
        if entry.video_type == "clean":
            annotation_path(index.root, entry.split, entry.video).unlink()
    assert sampler(index, protocol).draw("P1", 0) == task


def test_cle_ve_splits_clean_videos_into_first_and_rest(tmp_path):
    task = sampler(tree(tmp_path, clean=7), "orbit-2021-cle-ve").draw("P1", 0)
    of_bag = [sorted(p.video[-2:] for p in plans if p.label == 0) for plans in (task.support, task.query)]
    assert of_bag == [["00", "01", "02", "03", "04"], ["05", "06"]]
    task = sampler(tree(tmp_path, clean=3), "orbit-2021-cle-ve").draw("P1", 0)
    assert len([p for p in task.support if p.label == 0]) == 2  # min(5, 3 - 1)
    assert {p.frames for p in task.query} == {tuple(range(1, 301))}


def test_2021_support_is_8_clips_of_8_frames_in_a_row(tmp_path):
    """The published code uses clip numbers as frame numbers."""
    task = sampler(tree(tmp_path, frames=304), "orbit-2021-clu-ve").draw("P1", 0)
    for plan in task.support:
        clips = np.array(plan.frames).reshape(8, 8)
        assert (np.diff(clips, axis=1) == 1).all()
        assert len(set(plan.frames)) == 64
    starts = [plan.frames[0] for plan in task.support]
    assert len(set(starts)) > 1


def published_clips(frames: int) -> list[tuple[int, ...]]:
    """The published code's clips of a video, in time order: the first 1,000 frames, with the last one repeated."""
    numbers = [*range(1, min(frames, 1000) + 1)]
    while len(numbers) % 8:
        numbers.append(numbers[-1])
    return [tuple(numbers[at : at + 8]) for at in range(0, len(numbers), 8)]


PROTOCOLS_OF_2021 = ["orbit-2021-cle-ve", "orbit-2021-clu-ve", "orbit-2021-clean-training", "orbit-2021-training"]


@pytest.mark.parametrize("protocol", PROTOCOLS_OF_2021)
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 15, 16, 63, 64, 65, 1003])
def test_2021_support_clips_are_those_of_the_published_code(tmp_path, protocol, frames):
    """The last 1 to 7 frames make a clip, and so does a video shorter than a clip."""
    rows = [row("P1", thing, "clean", n, frames if n == 0 else 60) for thing in ("bag", "cup") for n in range(2)]
    rows += [row("P1", thing, "clutter", 0, 60) for thing in ("bag", "cup")]
    drawn = sampler(Index(tmp_path, "frames", tuple(rows)), protocol)
    assert drawn.left_out == ()
    taken = set()
    for number in range(60):
        for plan in drawn.draw("P1", number).support:
            if plan.video.endswith("clean--00"):
                clips = [plan.frames[at : at + 8] for at in range(0, len(plan.frames), 8)]
                assert len(clips) == len(set(clips)) == min(8, -(-min(frames, 1000) // 8))
                assert clips == sorted(clips)
                taken.update(clips)
    expected = published_clips(frames)
    assert taken <= set(expected) and expected[-1] in taken
    assert taken == set(expected) or frames > 65


@pytest.mark.parametrize("protocol", ["orbit-2021-cle-ve", "orbit-2021-clean-training"])
def test_a_clean_clean_object_of_one_video_leaves_the_task_and_is_listed(tmp_path, protocol):
    index = tree(tmp_path, clean=3)
    others = {f"{user}--cup--clean--{number}" for user in ("P1", "P2") for number in ("01", "02")}
    alone = Index(tmp_path, "frames", tuple(r for r in index.rows if r.video not in others))
    tasks = sampler(alone, protocol).draw_all()
    assert {entry.object for entry in tasks.left_out} == {"cup"}
    assert {(e.user, e.video, e.reason) for e in tasks.left_out} == {
        (user, "", "only one clean video; support and query need one each") for user in ("P1", "P2")
    }
    without = Index(tmp_path, "frames", tuple(r for r in index.rows if r.object != "cup"))
    assert tasks.tasks == sampler(without, protocol).draw_all().tasks  # the draws are those for the remaining objects
    assert sampler(alone, "orbit-2021-clu-ve").left_out == ()
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tasks
    rows = [
        (t.user, t.task, plan.video, frame, 0, 0.5) for t in tasks.tasks for plan in t.query for frame in plan.frames
    ]
    predictions = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    assert score(tasks, predictions).left_out == tasks.left_out


def test_at_most_15_videos_per_object_drawn_again_for_each_task(tmp_path):
    drawn = sampler(tree(tmp_path, users=("P1",), objects=("a", "b"), clutter=20, frames=60), "orbit-2022")
    chosen = [tuple(p.video for p in drawn.draw("P1", task).query if p.label == 0) for task in range(3)]
    assert {len(videos) for videos in chosen} == {15}
    assert len(set(chosen)) == 3


def test_the_rows_at_84_px_train_on_few_videos_of_few_objects(tmp_path):
    """At most 10 objects with 5 clean and 2 clutter videos each, so that a task's whole graph fits into memory."""
    index = tree(tmp_path, users=("P1",), objects=[f"thing {k}" for k in range(14)], clean=8, clutter=6, frames=60)
    drawn = sampler(index, "orbit-2021-small-training", split="test")
    tasks = [drawn.draw("P1", number) for number in range(40)]
    assert max(task.way for task in tasks) == 10
    assert {max(Counter(p.label for p in task.support).values()) for task in tasks} <= {1, 2, 3, 4, 5}
    assert max(max(Counter(p.label for p in task.support).values()) for task in tasks) == 5
    assert max(max(Counter(p.label for p in task.query).values()) for task in tasks) == 2


def test_training_tasks_vary_in_way_shot_and_queries(tmp_path):
    plan = load_experiment("protonets-efficientnet_b0").tasks
    index = tree(tmp_path, objects=tuple("abcdef"))
    tasks = [TaskSampler(index, plan, split="test", seed=1).draw("P1", number) for number in range(40)]
    assert {task.way for task in tasks} == {2, 3, 4, 5, 6}
    assert {len([p for p in task.support if p.label == 0]) for task in tasks} == {1, 2, 3}
    lengths = [len(p.frames) for task in tasks for p in task.query]
    assert 1 <= min(lengths) < 20
    assert 180 < max(lengths) <= 200


def test_own_videos_needs_neither_splits_nor_annotations(tmp_path):
    rows = tuple(row("P1", thing, kind, 0, 40, split="") for thing in ("a", "b") for kind in ("clean", "clutter"))
    tasks = sampler(Index(tmp_path, "frames", rows), "own-videos").draw_all()
    assert tasks.split == ""
    assert tasks.every_query_frame
    assert [p.frames for p in tasks.tasks[0].support] == [(1, 31), (1, 31)]
    assert {p.frames for p in tasks.tasks[0].query} == {tuple(range(1, 41))}
    with pytest.raises(UsageError, match="own-videos"):
        sampler(Index(tmp_path, "frames", rows), "orbit-2022")


def test_own_videos_uses_every_still_photo_and_other_protocols_every_30th(tmp_path):
    rows = [row("P1", thing, kind, 1, 64) for thing in ("bag", "mug") for kind in ("clean", "clutter")]
    burst = "P1--bag--clean--stills-0001"
    rows[0] = dataclasses.replace(rows[0], video=burst, path=f"test/{burst}")
    (task,) = sampler(Index(tmp_path, "frames", tuple(rows)), "own-videos").draw_all().tasks
    taught = {plan.video: plan.frames for plan in task.support}
    assert taught[burst] == tuple(range(1, 65)) and taught["P1--mug--clean--01"] == (1, 31, 61)
    index = Index(tmp_path, "frames", tuple(rows))
    for entry in rows:
        annotate(index, entry, ())
    assert {len(plan.frames) for plan in sampler(index, "orbit-2022").draw("P1", 0).support} == {3}


def test_users_and_objects_without_tasks_are_named(tmp_path):
    index = tree(tmp_path, users=("P1",), objects=("bag",))
    with pytest.raises(DataError, match="user P1 has 1 object") as raised:
        sampler(index, "orbit-2022")
    assert "more like it" not in str(raised.value)
    index = tree(tmp_path, users=("P1", "P2", "P3"), objects=("bag",))
    with pytest.raises(DataError, match=r"user P1 has 1 object.* \(and 2 more like it\)"):
        sampler(index, "orbit-2022")
    index = tree(tmp_path, clutter=0)
    with pytest.raises(DataError, match=r"user P1, object 'bag' has no query video.*clutter"):
        sampler(index, "orbit-2022")
    index = tree(tmp_path, clean=1)
    with pytest.raises(
        DataError, match=r"P1 has 0 objects with valid videos; a task needs at least 2 \(bag: only " r"one clean video;"
    ):
        sampler(index, "orbit-2021-cle-ve")
    rows = tuple(r for r in index.rows if (r.object, r.video_type) != ("cup", "clean"))
    with pytest.raises(DataError, match=r"object 'cup' has no support video.*needs two clean videos of every object"):
        sampler(Index(tmp_path, "frames", rows), "orbit-2021-cle-ve")


def test_missing_splits_and_annotations_are_named(tmp_path):
    index = tree(tmp_path)
    with pytest.raises(UsageError, match="no split 'train'"):
        sampler(index, "orbit-2022", split="train")
    with pytest.raises(UsageError, match="did you mean 'validation'"):
        sampler(index, "orbit-2022", split="validate")
    Path(annotation_path(tmp_path, "test", index.rows[-1].video)).unlink()
    with pytest.raises(DataError, match="no annotations; protocol orbit-2022"):
        sampler(index, "orbit-2022")
    annotate(index, row("P2", "cup", "clutter", 1, 7), ())
    with pytest.raises(DataError, match=r"-00008\.jpg: frame without an entry"):
        sampler(index, "orbit-2022")
