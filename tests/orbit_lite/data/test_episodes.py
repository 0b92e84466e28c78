import pickle
import random
from collections import Counter
from pathlib import Path

import pytest

from data_prep.tree.index import Index, VideoRow
from eval.formats.records import read_tasks, write_tasks
from groundwork.errors import DataError, UsageError
from orbit_lite.config import load_protocol
from orbit_lite.data.episodes import EpisodeSampler

EPISODES = ["episodes-5w1s", "episodes-5w5s", "meta-dataset", "vtab-1000"]
SMALL = {"vtab-1000": ["support=60"]}


def images(source, name, count, *, split="", video_type="clean", start=0, frames=1):
    rows = []
    for number in range(start, start + count):
        video = f"{source}--{name.replace(' ', '-')}--{video_type}--stills-{split}{number:04d}"
        place = f"{split or '.'}/{source}/{name}/{video_type}/{video}"
        rows.append(VideoRow(split, source, name, video_type, video, frames, place, "x"))
    return rows


def tree(root=Path("tree"), *, sources=("birds", "signs"), classes=8, count=24, split=""):
    rows = [row for s in sources for c in range(classes) for row in images(s, f"class {c}", count, split=split)]
    return Index(root, "frames", tuple(rows))


def sampler(index, protocol="episodes-5w1s", *overrides, split="test", seed=1, copies=None):
    plan = load_protocol(protocol, [*SMALL.get(protocol, []), *overrides])
    return EpisodeSampler(index, plan, split=split, seed=seed, copies=(lambda rows: copies) if copies else None)


@pytest.mark.parametrize("protocol", EPISODES)
def test_a_task_is_the_same_in_any_order_and_after_pickling(protocol):
    first = sampler(tree(), protocol)
    numbers = [(user, task) for user in first.users for task in range(5)]
    tasks = {number: first.draw(*number) for number in numbers}
    pickled = pickle.dumps(first)
    assert b"VideoRow" not in pickled  # workers need no index, which can have a million images
    other = pickle.loads(pickled)
    random.Random(0).shuffle(numbers)
    assert all(other.draw(*number) == tasks[number] for number in numbers)
    assert len({str(task) for task in tasks.values()}) == len(numbers)


@pytest.mark.parametrize("protocol", EPISODES)
def test_a_task_depends_on_seed_source_and_number_and_not_on_other_sources_or_the_rows_order(protocol):
    index = tree()
    alone = Index(index.root, "frames", tuple(row for row in index.rows if row.user == "signs")[::-1])
    task = sampler(index, protocol).draw("signs", 3)
    assert sampler(alone, protocol).draw("signs", 3) == task
    assert sampler(index, protocol, seed=2).draw("signs", 3) != task
    assert sampler(index, protocol).draw("signs", 4) != task


@pytest.mark.parametrize("protocol", EPISODES)
def test_no_image_is_in_support_and_query_and_labels_index_sorted_classes(protocol):
    found = sampler(tree(count=40), protocol)
    for number in range(20):
        task = found.draw("birds", number)
        support, query = ([plan.video for plan in plans] for plans in (task.support, task.query))
        assert len({*support, *query}) == len(support) + len(query)
        assert task.objects == tuple(sorted(task.objects))
        for plan in (*task.support, *task.query):
            assert plan.video.split("--")[:2] == ["birds", task.objects[plan.label].replace(" ", "-")]
            assert plan.frames == (1,)
        assert {plan.label for plan in task.support} == set(range(task.way))


def test_fixed_episodes_have_their_way_shot_and_query():
    task = sampler(tree(), "episodes-5w5s").draw("birds", 0)
    assert task.way == 5
    assert Counter(plan.label for plan in task.support) == dict.fromkeys(range(5), 5)
    assert Counter(plan.label for plan in task.query) == dict.fromkeys(range(5), 15)


def test_clean_and_clutter_are_treated_alike():
    rows = [row for c in range(5) for row in images("s", f"class {c}", 8)]
    rows += [row for c in range(5) for row in images("s", f"class {c}", 8, video_type="clutter")]
    task = sampler(Index(Path("t"), "frames", tuple(rows))).draw("s", 0)
    assert Counter(plan.label for plan in (*task.support, *task.query)) == dict.fromkeys(range(5), 16)


def test_one_random_frame_of_a_video_is_taken():
    rows = [row for c in range(5) for row in images("s", f"class {c}", 16, frames=5)]
    found = sampler(Index(Path("t"), "frames", tuple(rows)))
    plans = [plan for number in range(10) for plan in found.draw("s", number).query]
    assert all(len(plan.frames) == 1 for plan in plans)
    assert {plan.frames[0] for plan in plans} == {1, 2, 3, 4, 5}


def test_the_numbers_of_tasks_are_of_each_source_or_in_all():
    found = sampler(tree(sources=("a", "b", "c")), "meta-dataset")
    of_each = found.draw_all(tasks_per_user=4).tasks
    assert [(task.user, task.task) for task in of_each] == [(s, n) for s in "abc" for n in range(4)]
    in_all = found.draw_all(tasks=300).tasks
    assert sorted(task.task for task in in_all) == list(range(300))
    times = Counter(task.user for task in in_all)
    # 100 +- 8.2, five standard deviations
    assert all(abs(count - 100) < 40 for count in times.values()) and len(times) == 3
    assert len(found.draw_all().tasks) == load_protocol("meta-dataset").tasks
    by_number = {task.task: task for task in in_all}
    assert all(by_number[task.task] == task for task in of_each if by_number[task.task].user == task.user)


def test_a_task_set_of_single_images_survives_its_file(tmp_path):
    tasks = sampler(tree()).draw_all(tasks_per_user=3)
    assert tasks.single_images and not tasks.every_query_frame
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tasks


def test_one_of_copies_in_a_class_is_taken_and_none_of_copies_in_two_classes():
    index = tree(sources=("birds",), count=18)
    same = "birds--class-0--clean--stills-0003"
    copies = {same: same, "birds--class-0--clean--stills-0007": same}
    both = "birds--class-1--clean--stills-0000"
    copies |= {both: both, "birds--class-2--clean--stills-0001": both}
    found = sampler(index, copies=copies)
    left_out = {entry.video: entry.reason for entry in found.left_out}
    assert set(left_out) == {"birds--class-0--clean--stills-0007", both, "birds--class-2--clean--stills-0001"}
    assert left_out["birds--class-0--clean--stills-0007"] == f"the same picture as {same}"
    assert "under class 2 as well" in left_out[both]
    drawn = {plan.video for n in range(60) for t in [found.draw("birds", n)] for plan in (*t.support, *t.query)}
    assert same in drawn and not drawn & set(left_out)


def test_classes_with_too_few_images_are_left_out_and_listed():
    rows = [*tree(sources=("birds",), classes=5).rows, *images("birds", "rare", 15)]
    found = sampler(Index(Path("t"), "frames", tuple(rows)))
    assert [(e.object, e.video, e.reason) for e in found.left_out] == [("rare", "", "15 images, 16 needed")]
    assert all("rare" not in found.draw("birds", number).objects for number in range(30))


@pytest.mark.parametrize(
    ("protocol", "classes", "count", "said"),
    [
        ("episodes-5w1s", 4, 24, "birds: 4 classes with at least 16 images; .* episodes-5w1s needs 5. Add classes"),
        ("episodes-5w1s", 8, 15, "0 classes .* needs 5; too few images: class 0 has 15, class 1 has 15"),
        ("episodes-5w1s", 1, 24, "1 class with at least 16 images"),
        ("meta-dataset", 9, 1, "0 classes with at least 2 images; .*class 0 has 1, .* and 1 more. Add images"),
        ("vtab-1000", 1, 90, "1 class; a task needs at least 2"),
        ("vtab-1000", 8, 5, "8 classes with 40 training images; .* needs 60 images"),
        ("vtab-1000", 61, 2, "61 classes with 122 training images; .* needs 60 images, at least one of each class"),
    ],
)
def test_a_source_that_is_too_small_is_one_line_with_what_it_has_and_needs(protocol, classes, count, said):
    with pytest.raises(DataError, match=said) as error:
        sampler(tree(sources=("birds",), classes=classes, count=count), protocol)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_very_many_classes_of_one_image_are_one_short_line(count):
    rows = tuple(VideoRow("", "s", f"c{n}", "clean", f"s--c{n}--clean--1", 1, f"s/c{n}", "x") for n in range(count))
    with pytest.raises(DataError, match=rf"0 classes with at least 2 images.* and {count - 8} more") as error:
        sampler(Index(Path("t"), "frames", rows), "meta-dataset")
    assert len(str(error.value)) < 500


def test_a_class_in_two_splits_is_refused_by_name():
    rows = [*tree(split="train", sources=("birds",)).rows, *tree(split="test", sources=("birds",), classes=6).rows]
    index = Index(Path("t"), "frames", tuple(rows))
    with pytest.raises(DataError, match=r"source birds: 6 classes in two splits, test and train: class 0, .*by=seed"):
        sampler(index)
    dealt = [sampler(index, "episodes-5w1s", "way=2", "classes.by=seed", split=s) for s in ("train", "test")]
    names = [{name for n in range(40) for name in one.draw("birds", n).objects} for one in dealt]
    assert names[0] and names[1] and not names[0] & names[1]


def test_a_tree_without_splits_is_all_test_and_has_no_classes_to_train_on():
    assert sampler(tree()).split == ""
    with pytest.raises(UsageError, match=r"so it has no classes for train.*classes\.by=seed"):
        sampler(tree(), split="train")
    assert sampler(tree(classes=20), "episodes-5w1s", "classes.by=name", split="train").split == "train"


def test_an_unknown_split_and_a_split_that_is_not_there():
    with pytest.raises(UsageError, match=r"unknown split 'tests' .*did you mean 'test'"):
        sampler(tree(), split="tests")
    with pytest.raises(UsageError, match="no split 'validation' in this tree; it has test"):
        sampler(tree(split="test"), split="validation")


def test_whole_sets_use_training_images_as_support_and_all_test_images_as_queries():
    train = [row for c in range(6) for row in images("s", f"class {c}", 1 + 20 * c, split="train")]
    test = [row for c in range(1, 6) for row in images("s", f"class {c}", 9, split="test")]
    index = Index(Path("t"), "frames", (*train, *test))
    found = sampler(index, "vtab-1000", "tasks_per_user=2")
    first, second = found.draw_all().tasks
    for task in (first, second):
        assert task.way == 6 and len(task.support) == 60
        assert {plan.video for plan in task.support} <= {row.video for row in train}
        assert {plan.label for plan in task.support} == set(range(6))  # including the class with one image
        assert [plan.video for plan in task.query] == sorted(row.video for row in test)
    assert first.support != second.support and first.query == second.query
    shots = Counter(plan.label for n in range(100) for plan in found.draw("s", n).support)
    assert shots[5] / shots[1] == pytest.approx(101 / 21, rel=0.1)  # in proportion to the number of images


def test_whole_sets_without_splits_use_all_other_images_as_queries():
    task = sampler(tree(sources=("s",), count=20), "vtab-1000").draw("s", 0)
    assert (len(task.support), len(task.query)) == (60, 100)


def test_whole_sets_keep_every_test_image_and_drop_a_training_image_that_is_its_copy():
    index = Index(Path("t"), "frames", (*tree(split="train").rows, *tree(split="test").rows))
    test, train = "birds--class-0--clean--stills-test0000", "birds--class-0--clean--stills-train0004"
    found = sampler(index, "vtab-1000", copies={test: test, train: test})
    assert [(entry.video, entry.reason) for entry in found.left_out] == [(train, f"the same picture as {test}")]
    tasks = [found.draw("birds", number) for number in range(30)]
    assert all(test in {plan.video for plan in task.query} for task in tasks)
    assert train not in {plan.video for task in tasks for plan in task.support}


def test_whole_sets_refuse_classes_without_support_images():
    rows = [*tree(split="train", classes=5).rows, *tree(split="test", classes=6).rows]
    with pytest.raises(DataError, match=r"classes without a training image: class 5; .* in split train"):
        sampler(Index(Path("t"), "frames", tuple(rows)), "vtab-1000")
    with pytest.raises(UsageError, match="images of split train are for support"):
        sampler(tree(split="train"), "vtab-1000", split="train")


def test_an_overridden_protocol_has_another_name():
    assert load_protocol("episodes-5w1s", ["way=20", "shot=3"]).name == "episodes-5w1s, way=20, shot=3"
    assert load_protocol("episodes-5w1s", ["way=20", "name=mine"]).name == "mine"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("way=1", "way: .*greater than or equal to 2, got 1"),
        ("ways=3", "unknown key 'ways' .*did you mean 'way'"),
        ("tasks=4", "exactly one of tasks"),
        ("classes.by=seeds", "classes.by"),
        ("classes.by=list", "file and by: list must be used together"),
        ("classes.shares=[0.9, 0.2]", "must sum to at most 1"),
        ("episodes=fixd", "episodes: expected one of fixed, random, whole, got 'fixd' .*did you mean 'fixed'"),
    ],
)
def test_a_bad_override_is_one_line(override, said):
    with pytest.raises(UsageError, match=said) as error:
        load_protocol("episodes-5w1s", [override])
    assert "\n" not in str(error.value)
