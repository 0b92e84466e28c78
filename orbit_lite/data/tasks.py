"""Draws tasks as plans: videos and frames of one user, keyed by (seed, user, task number); reads no pixels.

A task is the same in any order and on any number of workers or machines: every draw has its own generator, keyed by
what it draws. The protocols in configs/protocol/ are those of Massiceti et al. 2021 (arXiv 2104.03841) and the
leaderboard.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import SPLITS
from eval.formats.records import LeftOut, Task, TaskSet, VideoPlan
from groundwork.errors import DataError, UsageError
from groundwork.randomness import keyed_rng
from groundwork.words import nearest
from orbit_lite.config import FrameChoice, SetPlan, TaskPlan
from orbit_lite.data.numbering import task_numbers

FrameNumbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A video that can be drawn, with its valid frame numbers (after filtering and the cap), ascending.

    stills: whether the frames are separate photos, see data_prep.tree.stills.
    """

    video: str
    frames: FrameNumbers
    stills: bool


@dataclass(frozen=True)
class ObjectVideos:
    """One object's videos with enough valid frames, sorted by name."""

    object: str
    support: tuple[Candidate, ...]
    query: tuple[Candidate, ...]


@dataclass(frozen=True)
class UserVideos:
    """One user's objects that can be in a task, sorted by name; and the objects and videos that can't be, and why."""

    user: str
    objects: tuple[ObjectVideos, ...]
    left_out: tuple[LeftOut, ...]


class TaskSampler:
    """Draws the tasks of one plan from one split of an index. Reads annotations if the plan filters by them."""

    def __init__(
        self, index: Index, plan: TaskPlan, *, split: str, seed: int, annotations: TreeAnnotations | None = None
    ) -> None:
        """Find the objects and frames that tasks can use. Pass `annotations` to share them with other readers.

        Raises:
            UsageError: for an unknown split.
            DataError: if no task can be drawn from a user or object, or annotations are missing or invalid.
        """
        self.plan, self.seed = plan, seed
        self.split = resolve_split(index, plan, split)
        self._index = index
        # not stored: workers get a copy of the sampler, and don't need annotations
        annotations = annotations or TreeAnnotations(index)
        self._users = {user: self._user_videos(user, annotations) for user in index.users(self.split)}
        faults = [fault for videos in self._users.values() for fault in _faults(videos)]
        if faults:
            more = f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else ""
            raise DataError(f"{index.root}: {faults[0]}{more}; protocol {plan.name} can't draw tasks from that")

    @property
    def users(self) -> tuple[str, ...]:
        """The users of the split, sorted."""
        return tuple(self._users)

    @cached_property
    def frames(self) -> int:
        """How many frames tasks can choose from."""
        return sum(row.frames for row in self._index.rows if row.split == self.split)

    @cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The videos and objects that are in no task, and why."""
        return tuple(entry for videos in self._users.values() for entry in videos.left_out)

    def draw(self, user: str, task: int) -> Task:
        """The task with this number. It depends only on the seed, the user, the number, the index and the
        annotations."""
        plan, videos = self.plan, self._users[user]
        rng = keyed_rng(self.seed, user, task)
        most = min(len(videos.objects), plan.max_objects or len(videos.objects))
        way = most if plan.way == "all" else int(rng.integers(2, most + 1))
        chosen = sorted(rng.permutation(len(videos.objects))[:way]) if way < len(videos.objects) else range(way)
        objects = [videos.objects[i] for i in chosen]
        support, query = [], []
        for label, entry in enumerate(objects):
            support += self._draw_set(plan.support, entry.support, label, key=(self.seed, user, task, "support"))
            query += self._draw_set(plan.query, entry.query, label, key=(self.seed, user, task, "query"))
        names = tuple(entry.object for entry in objects)
        return Task(user, task, names, tuple(support), tuple(query), plan.clip_length)

    def draw_all(self, *, tasks_per_user: int | None = None, tasks: int | None = None) -> TaskSet:
        """All tasks of all users, as the manifest that predict and score read; see `task_numbers`."""
        numbers = task_numbers(self.plan, self.users, seed=self.seed, tasks_per_user=tasks_per_user, tasks=tasks)
        return TaskSet(
            protocol=self.plan.name,
            split=self.split,
            seed=self.seed,
            every_query_frame=self.plan.every_query_frame,
            data_fingerprint=self._index.fingerprint,
            left_out=self.left_out,
            tasks=tuple(self.draw(user, task) for user, task in numbers),
        )

    def _draw_set(
        self, plan: SetPlan, candidates: Sequence[Candidate], label: int, *, key: tuple[int, str, int, str]
    ) -> list[VideoPlan]:
        most = min(filter(None, (len(candidates), self.plan.max_videos, plan.max_videos)))
        if plan.videos == "random" or most < len(candidates):
            rng = keyed_rng(*key, "videos", candidates[0].video)
            count = int(rng.integers(1, most + 1)) if plan.videos == "random" else most
            candidates = [candidates[i] for i in sorted(rng.permutation(len(candidates))[:count])]
        drawn = []
        for candidate in candidates:
            frames = _choose_frames(plan.frames, candidate, self.plan.clip_length, (*key, candidate.video))
            drawn.append(VideoPlan(candidate.video, label, tuple(frames.tolist())))
        return drawn

    def _user_videos(self, user: str, annotations: TreeAnnotations) -> UserVideos:
        by_object: dict[str, list[VideoRow]] = defaultdict(list)
        for row in self._index.select(split=self.split, user=user):
            by_object[row.object].append(row)
        objects, left_out = [], []
        for name in sorted(by_object):
            if self._is_alone(by_object[name]):
                reason = f"only one {self.plan.support.video_type} video; support and query need one each"
                left_out.append(LeftOut(user, name, "", reason))
                continue
            sets = {}
            for role, plan in (("support", self.plan.support), ("query", self.plan.query)):
                rows = _choose_rows(by_object[name], plan)
                if not rows:
                    raise DataError(self._no_video(user, name, role, plan))
                sets[role] = [self._candidate(row, plan, annotations) for row in rows]
                for row, candidate in zip(rows, sets[role], strict=True):
                    if len(candidate.frames) < plan.min_frames:
                        reason = f"{len(candidate.frames)} valid {role} frames, {plan.min_frames} needed"
                        left_out.append(LeftOut(user, name, row.video, reason))
                sets[role] = [c for c in sets[role] if len(c.frames) >= plan.min_frames]
            missing = [role for role, candidates in sets.items() if not candidates]
            if missing:
                left_out.append(LeftOut(user, name, "", f"no valid {' and no valid '.join(missing)} video"))
                continue
            cap = self.plan.first_frames
            support, query = (tuple(replace(c, frames=c.frames[:cap]) for c in sets[role]) for role in sets)
            objects.append(ObjectVideos(name, support, query))
        return UserVideos(user, tuple(objects), tuple(left_out))

    def _is_alone(self, rows: Sequence[VideoRow]) -> bool:
        """Whether an object has a single video for two sets that share its videos; the published code also drops it."""
        plan = self.plan.support
        return plan.videos == "first" and sum(row.video_type == plan.video_type for row in rows) == 1

    def _no_video(self, user: str, name: str, role: str, plan: SetPlan) -> str:
        shared = plan.videos in ("first", "rest")
        kind = f"two {plan.video_type} videos" if shared else f"a {plan.video_type} video"
        return (
            f"{self._index.root}: user {user}, object {name!r} has no {role} video: protocol {self.plan.name} needs "
            f"{kind} of every object; film {'them' if shared else 'one'}, or remove the object from the tree"
        )

    def _candidate(self, row: VideoRow, plan: SetPlan, annotations: TreeAnnotations) -> Candidate:
        if not plan.without:
            return Candidate(row.video, np.arange(1, row.frames + 1), row.is_stills)
        path = annotations.path(row)
        if not path.is_file():
            raise DataError(
                f"{path}: no annotations; protocol {self.plan.name} keeps frames without {', '.join(plan.without)}. "
                "Put ORBIT's annotations there, or use --protocol own-videos for your own videos"
            )
        return Candidate(row.video, annotations.of(row).frames_without(plan.without), row.is_stills)


def resolve_split(index: Index, plan: TaskPlan, split: str) -> str:
    """Check the split's name; always "" for a tree without splits.

    Raises:
        UsageError: if there is no such split, or the tree has none and the plan needs them.
    """
    if index.splits == ("",):
        if plan.needs_splits:
            raise UsageError(
                f"{index.root}: this tree has no splits; protocol {plan.name} needs {', '.join(SPLITS)}. Use "
                f"--protocol own-videos for your own videos"
            )
        return ""
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}{nearest(split, SPLITS)}; known: {', '.join(SPLITS)}")
    if split not in index.splits:
        raise UsageError(f"{index.root}: no split {split!r} in this tree; it has {', '.join(index.splits)}")
    return split


def _choose_rows(rows: Sequence[VideoRow], plan: SetPlan) -> list[VideoRow]:
    """The object's videos that this set can draw from, by name; empty if there are too few."""
    of_type = sorted((row for row in rows if row.video_type == plan.video_type), key=lambda row: row.video)
    first = min(plan.count, len(of_type) - 1)
    if plan.videos == "first":
        return of_type[: max(first, 0)]
    if plan.videos == "rest":
        return of_type[first:] if first > 0 else []
    return of_type


def _choose_frames(
    choice: FrameChoice, candidate: Candidate, clip_length: int, key: tuple[int, str, int, str, str]
) -> FrameNumbers:
    """Frame numbers of one video, ascending; for clips, each run of clip_length numbers is one clip."""
    frames, count = candidate.frames, len(candidate.frames)
    if choice.sample == "every":
        return frames
    if choice.sample == "uniform":
        return frames if choice.every_still and candidate.stills else frames[:: choice.step]
    rng = keyed_rng(*key)
    if choice.sample == "clips":
        if choice.fill_last_clip:
            frames = np.pad(frames, (0, -count % clip_length), mode="edge")
        runs = frames[: len(frames) // clip_length * clip_length].reshape(-1, clip_length)
        return runs[np.sort(rng.permutation(len(runs))[: choice.clips])].ravel()
    most = min(count, choice.at_most)
    wanted = int(rng.integers(1, most + 1)) if choice.sample == "random_number" else most
    return np.sort(rng.permutation(frames)[:wanted])


def _faults(videos: UserVideos) -> list[str]:
    if len(videos.objects) >= 2:
        return []
    if videos.left_out:
        reasons = "; ".join(f"{entry.object}: {entry.reason}" for entry in videos.left_out if not entry.video)
        return [
            f"user {videos.user} has {len(videos.objects)} objects with valid videos; a task needs at least 2 "
            f"({reasons})"
        ]
    return [f"user {videos.user} has {len(videos.objects)} object; a task needs at least 2"]
