"""Golden task sets: all tasks that each protocol draws from a synthetic index, stored next to this file.

If a draw changes, reported numbers change. Each golden file has a digest of every task, and a few complete tasks so
that differences are readable. To write the files again (see CONTRIBUTING.md for when to do that):

    .venv/bin/python tests/orbit_lite/data/test_golden_tasks.py
"""

import difflib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data_prep.tree.annotations import NOT_PRESENT
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import SPLITS, annotation_path, frame_file_name, slug
from eval.formats.records import Task, VideoPlan
from orbit_lite.config import TaskPlan, builtin_names, load_protocol
from orbit_lite.data.episodes import EpisodeSampler
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.episode_plan import AnyEpisodes, WholeEpisodes

GOLDEN = Path(__file__).parent / "golden"
SEED = 1991
SHOWN = 2  # the number of complete tasks, of the first user of each split
DIFFERENCE_LINES = 40

Videos = tuple[tuple[int, int], ...]  # for each video: the number of frames, and how many don't show the object

# A user with a few objects, near every bound on frames: clips of 8, 50 and 200 valid frames, the first 1,000.
FEW_OBJECTS: dict[str, tuple[Videos, Videos]] = {  # object: clean videos, clutter videos
    "my keys": (((64, 0), (90, 3), (1200, 0)), ((60, 10), (260, 59), (1300, 90))),  # 50, 201, 1,210 valid
    "Bag": (((15, 0), (8, 0)), ((230, 30),)),  # 200 valid; one clip of 8 in each clean video
    "cup": (((7, 0), (61, 0), (50, 0), (49, 0)), ((52, 3), (80, 31), (51, 0))),  # 49 of 52 and of 80 valid: left out
    "dog lead": (((70, 0), (71, 0)), ((300, 260), (40, 0))),  # no valid clutter video, so in no task of most protocols
    "étui": (((66, 0), (30, 0)), ((120, 0),)),  # no valid clean query video
}
# A user above both bounds of 15: 18 objects, one of them with 17 clean and 16 clutter videos.
MANY_OBJECTS: dict[str, tuple[Videos, Videos]] = {
    "remote": (tuple((40 + 3 * number, 0) for number in range(17)), tuple((55 + number, 2) for number in range(16))),
    "cane": (tuple((100 + number, 0) for number in range(6)), ((201, 0), (199, 0))),  # 5 are first, one remains
    "mug": (tuple((100 + number, 0) for number in range(5)), ((1001, 0), (1000, 0))),
    **{f"thing {place}": (((80, 0), (70 + place, 0)), ((60 + place, place),)) for place in range(15)},
}
USERS = {"train": ("P10", "P2"), "validation": ("P3", "P4"), "test": ("P5", "P60")}


def made_index(root: Path, *, splits: bool = True) -> Index:
    """Rows and annotations without images: in each split a user with few objects and one with many."""
    rows = []
    for split in SPLITS if splits else SPLITS[-1:]:
        for user, objects in zip(USERS[split], (FEW_OBJECTS, MANY_OBJECTS), strict=True):
            for name, videos in objects.items():
                for video_type, of_type in zip(("clean", "clutter"), videos, strict=True):
                    for number, (frames, absent) in enumerate(of_type):
                        video = f"{user}--{slug(name)}--{video_type}--{number * 7 % 17:02d}"
                        place = f"{split}/{user}/{name}/{video_type}/{video}"
                        row = VideoRow(split if splits else "", user, name, video_type, video, frames, place, "0")
                        rows.append(row)
                        if video_type == "clutter":
                            _annotate(root, row, absent)
    return Index(root, "frames", tuple(rows[::-1]))  # the order of an index's rows must not matter


def _annotate(root: Path, row: VideoRow, absent: int) -> None:
    """Half of the absent frames are annotated as absent, half as unknown (null); they are scattered."""
    scattered = sorted(range(1, row.frames + 1), key=lambda number: (number * 37 % 101, number))
    values = {number: [True, None][place % 2] for place, number in enumerate(scattered[:absent])}
    path = annotation_path(root, row.split, row.video)
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(1, row.frames + 1)
    path.write_text(json.dumps({frame_file_name(row.video, n): {NOT_PRESENT: values.get(n, False)} for n in numbers}))


# Sources of still images with class sizes near every bound of the episode samplers.
FEW_IMAGES = {
    "one": 1,
    "two": 2,
    "fifteen": 15,
    "sixteen": 16,
    "twenty": 20,
    "bird house": 21,
    "Bird": 30,
    "ant": 150,
    "owl": 45,
}
MANY_CLASSES = {f"class {place:02d}": 16 + 5 * place % 90 for place in range(60)}
EPISODES_A_SOURCE = 8
LINES_SHOWN = 12  # of an episode


def made_images(root: Path, *, same_classes: bool) -> Index:
    """Rows of still images: two sources in train and test, with the same or different classes; clean and clutter."""
    rows = []
    for split in ("train", "test"):
        for source, classes in (("birds", FEW_IMAGES), ("signs", MANY_CLASSES)):
            for name, count in classes.items():
                own = name if same_classes else f"{name} {split}"
                for number in range(count):
                    video_type = "clutter" if number % 5 == 4 else "clean"
                    video = f"{source}--{slug(own)}--{video_type}--stills-{split}-{number:04d}"
                    place = f"{split}/{source}/{own}/{video_type}/{video}"
                    frames = 3 if number % 11 == 10 else 1
                    rows.append(VideoRow(split, source, own, video_type, video, frames, place, "0"))
    return Index(root, "frames", tuple(rows[::-1]))


def golden_episodes(plan: AnyEpisodes, root: Path) -> str:
    """Same as golden_text for still images: the beginnings of a few episodes, and digests."""
    whole = isinstance(plan, WholeEpisodes)
    index = made_images(root, same_classes=whole)
    if whole:  # birds have too few images
        index = Index(root, "frames", tuple(row for row in index.rows if row.user == "signs"))
    lines = [f"protocol {plan.name}, seed {SEED}, index {index.fingerprint}"]
    for split in ("test",) if whole else ("train", "test"):
        tasks = EpisodeSampler(index, plan, split=split, seed=SEED).draw_all(
            **({} if whole else {"tasks_per_user": EPISODES_A_SOURCE})
        )
        lines += ["", f"split {split}"]
        lines += [f"left out {entry.user}, {entry.object}, {entry.video}: {entry.reason}" for entry in tasks.left_out]
        lines += [*task_lines(tasks.tasks[0])][:LINES_SHOWN]
        lines += [f"{task.user} {task.task} {_digest(task)}" for task in tasks.tasks]
    if plan.tasks:
        few = EpisodeSampler(index, plan, split="test", seed=SEED).draw_all(tasks=EPISODES_A_SOURCE)
        lines += ["", "of all sources: " + " ".join(f"{task.user}-{task.task}" for task in few.tasks)]
    return "\n".join(lines) + "\n"


def golden_text(protocol: str, root: Path) -> str:
    """The content of a protocol's golden file: what is left out, a digest of every task, and a few complete tasks."""
    plan = load_protocol(protocol)
    if not isinstance(plan, TaskPlan):
        return golden_episodes(plan, root)
    index = made_index(root, splits=plan.needs_splits)
    lines = [f"protocol {plan.name}, seed {SEED}, index {index.fingerprint}"]
    for split in SPLITS if plan.needs_splits else ("",):
        tasks = TaskSampler(index, plan, split=split, seed=SEED).draw_all()
        lines += ["", f"split {split or 'none'}, every query frame: {tasks.every_query_frame}"]
        lines += [f"left out {entry.user}, {entry.object}, {entry.video}: {entry.reason}" for entry in tasks.left_out]
        shown = [task for task in tasks.tasks if task.user == USERS[split or "test"][0]][:SHOWN]
        lines += [line for task in shown for line in task_lines(task)]
        lines += [f"{task.user} {task.task} {_digest(task)}" for task in tasks.tasks]
    return "\n".join(lines) + "\n"


def task_lines(task: Task) -> Iterator[str]:
    """A complete task: its objects, then its videos with labels and frames."""
    yield f"{task.user} {task.task}: {', '.join(task.objects)}; clips of {task.clip_length}"
    for role, plans in (("support", task.support), ("query", task.query)):
        for plan in plans:
            yield f"  {role} {plan.label} {plan.video}: {ranges(plan.frames)}"


def ranges(frames: Iterable[int]) -> str:
    """Frame numbers in order, with consecutive ones as ranges: `1-8 17-24 61`."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1][1:] = [frame]
        else:
            runs.append([frame])
    return " ".join("-".join(map(str, run)) for run in runs)


def _digest(task: Task) -> str:
    return hashlib.sha256("\n".join(task_lines(task)).encode()).hexdigest()[:12]


def write_golden() -> None:
    """Write the golden file of every protocol, and delete those of removed protocols."""
    for path in GOLDEN.glob("*.txt"):
        path.unlink()
    for protocol in builtin_names("protocol"):
        with tempfile.TemporaryDirectory() as root:
            (GOLDEN / f"{protocol}.txt").write_text(golden_text(protocol, Path(root)), encoding="utf-8")


def test_every_protocol_has_a_golden_task_set_and_none_is_of_another():
    assert sorted(path.stem for path in GOLDEN.iterdir()) == builtin_names("protocol")
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 110_000  # small enough to be read in a diff


@pytest.mark.parametrize("protocol", builtin_names("protocol"))
def test_the_tasks_are_those_of_the_golden_file(tmp_path, protocol):
    path = GOLDEN / f"{protocol}.txt"
    if not path.is_file():
        pytest.fail(f"{path.name}: protocol {protocol} has no golden task set; CONTRIBUTING.md says how to write it")
    drawn, kept = golden_text(protocol, tmp_path), path.read_text(encoding="utf-8")
    changes = [*difflib.unified_diff(kept.splitlines(), drawn.splitlines(), "golden", "drawn now", n=0, lineterm="")]
    if changes:
        shown = "\n".join(line[:400] for line in changes[:DIFFERENCE_LINES])
        pytest.fail(
            f"{path.name}: {len(changes)} lines differ. Numbers change with it: CHANGELOG.md first, then write the file"
            f" again (CONTRIBUTING.md).\n{shown}",
            pytrace=False,
        )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, tuple[Task, ...]]:
    """The tasks of the leaderboard's three protocols, from the test users."""
    index = made_index(tmp_path_factory.mktemp("made"))
    plans = (load_protocol(name) for name in ("orbit-2021-cle-ve", "orbit-2021-clu-ve", "orbit-2022"))
    return {plan.name: TaskSampler(index, plan, split="test", seed=SEED).draw_all().tasks for plan in plans}


def test_the_made_index_reaches_every_bound_of_the_protocols(drawn):
    """Otherwise a golden file would not detect a changed bound."""
    few, many = drawn["orbit-2022"][0], drawn["orbit-2022"][50]
    assert few.objects == ("Bag", "cup", "my keys", "étui")  # by name; without the object that has no valid query video
    query = {plan.video: plan.frames for plan in few.query}
    assert sorted(len(frames) for frames in query.values()) == [50, 51, 120, 200, 200, 200]
    assert query["P5--my-keys--clutter--00"] != tuple(range(1, 51))  # 50 of 60: those that show the object
    assert many.way == 15 and max(len(plans) for plans in _by_label(many.query)) == 15
    assert max(len(plans) for plans in _by_label(many.support)) == 15
    objects = {task.objects for task in drawn["orbit-2022"][50:]}
    assert len(objects) > 1 and len(set().union(*objects)) == 18
    (long,) = (plan for plan in few.support if plan.video == "P5--my-keys--clean--14")
    assert long.frames == tuple(range(1, 1001, 30))  # the first 1,000 of 1,200 frames

    clips = {plan.video: plan.frames for plan in drawn["orbit-2021-clu-ve"][0].support}
    assert sorted(len(frames) // 8 for frames in clips.values()) == [1, 1, 2, 4, 7, 7, *[8] * 7]
    assert clips["P5--cup--clean--00"] == (1, 2, 3, 4, 5, 6, 7, 7)  # a video of 7 frames
    for frames in clips.values():
        steps = np.diff(np.reshape(frames, (-1, 8)), axis=1)
        assert set(steps[:-1].ravel()) <= {1}  # all but the last are complete
        assert (np.diff(steps[-1]) <= 0).all() and set(steps[-1]) <= {
            0,
            1,
        }  # consecutive frames, then copies of the last
    query = {plan.video: plan.frames for plan in drawn["orbit-2021-clu-ve"][0].query}
    assert query["P5--my-keys--clutter--14"] == tuple(range(1, 1001))
    assert set(map(len, query.values())) == {51, 52, 60, 80, 120, 230, 260, 300, 1000}

    few = drawn["orbit-2021-cle-ve"][0]
    assert few.objects == ("cup", "dog lead", "my keys")  # the rest of the others' clean videos has fewer than 50


def test_clean_videos_are_split_between_support_and_query_by_name(tmp_path):
    """Of an object's n videos, the first min(5, n - 1) by name are for support, the others for query."""
    index = made_index(tmp_path)
    sampler = TaskSampler(index, load_protocol("orbit-2021-cle-ve"), split="test", seed=SEED)
    too_short = {entry.video for entry in sampler.left_out}
    task = sampler.draw("P60", 0)
    found = {}
    for label, name in enumerate(task.objects):
        clean = sorted(row.video for row in index.select(user="P60", object=name, video_type="clean"))
        support, query = ([p.video for p in plans if p.label == label] for plans in (task.support, task.query))
        assert support == clean[: len(support)]
        assert query == [video for video in clean[len(support) :] if video not in too_short]
        found[len(clean)] = len(support)
    assert found == {2: 1, 5: 4, 6: 5, 17: 5}


def test_ranges_tell_frames_apart():
    assert ranges((1, 2, 3, 17, 61, 62)) == "1-3 17 61-62"
    assert ranges((3, 2, 1)) == "3 2 1"
    assert all(ranges(range(1, n)) != ranges(range(1, m)) for n, m in pairwise(range(2, 20)))


def _by_label(plans: Iterable[VideoPlan]) -> list[list[VideoPlan]]:
    found: dict[int, list[VideoPlan]] = {}
    for plan in plans:
        found.setdefault(plan.label, []).append(plan)
    return list(found.values())


if __name__ == "__main__":
    write_golden()
