"""Makes the one task that a personal file is evaluated on: the videos that taught it are the support set, and one
user's other videos the query set."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.tree.index import Index, VideoRow
from eval.formats.records import Task, TaskSet, VideoPlan
from groundwork.errors import DataError, UsageError
from groundwork.words import listed, nearest
from orbit_lite.config import TaskPlan, load_protocol
from orbit_lite.data.frames import FrameSource
from orbit_lite.data.loader import FrameJob, read_ahead
from orbit_lite.data.tasks import resolve_split
from orbit_lite.personal.recognizer import PersonalRecognizer, TaughtVideo
from orbit_lite.personal.teaching.sampling import PROTOCOL, pictures_digest


def load_own_protocol(name: str) -> TaskPlan:
    """Load a protocol whose query set is every frame of all of a user's videos of one type, such as `own-videos`.

    Raises:
        UsageError: if the name is unknown, or the protocol draws tasks: a personal file has already been taught.
    """
    plan = load_protocol(name)
    if not isinstance(plan, TaskPlan):
        raise UsageError(_not_of_all(name))
    uncapped = (plan.first_frames, plan.max_videos, plan.max_objects) == (None, None, None)
    whole = plan.way == "all" and plan.clip_length == 1 and plan.tasks_per_user == 1
    if not (uncapped and whole and plan.every_query_frame and plan.query.videos == "all"):
        raise UsageError(_not_of_all(name))
    return plan


def _not_of_all(name: str) -> str:
    return (
        f"--protocol {name}: draws support and query videos, but a personal recognizer has already been taught, and is "
        f"tested on all other videos of a user: give --protocol {PROTOCOL}"
    )


def choose_user(index: Index, split: str, *, asked: str | None, own: str) -> str:
    """The user whose videos are tested: the requested user, else the file's own, else the only one in the tree.

    Raises:
        UsageError: if the tree, or this split of it, has no such user.
    """
    there = index.users(split)
    if asked is None and own not in there and len(there) == 1:
        return there[0]
    user = own if asked is None else asked
    if user in there:
        return user
    place = f"split {split} of {index.root}" if split else str(index.root)
    elsewhere = [other for other in index.splits if user in index.users(other)]
    if elsewhere:
        raise UsageError(f"user {user} is not in {place}, but in split {elsewhere[0]}: give --split {elsewhere[0]}")
    if asked is None:
        raise UsageError(f"the file's user {user} is not in {place}: give --user; there are {listed(there)}")
    raise UsageError(f"--user {user}: not in {place}{nearest(user, there)}; there are {listed(there)}")


@dataclass(frozen=True)
class TaskMaker:
    """Makes the task of one file on one tree.

    file: for error messages. split: "" in a tree without splits. seed: used only for the bootstrap over users.
    """

    personal: PersonalRecognizer
    file: Path
    index: Index
    plan: TaskPlan
    split: str
    seed: int

    @classmethod
    def of(
        cls, personal: PersonalRecognizer, file: Path, index: Index, *, protocol: str, split: str, seed: int
    ) -> "TaskMaker":
        """Raises UsageError as `load_own_protocol` and `resolve_split`."""
        plan = load_own_protocol(protocol)
        return cls(personal, file, index, plan, resolve_split(index, plan, split), seed)

    def make(self, user: str, source: FrameSource, *, workers: int) -> TaskSet:
        """Make the task. Reads those of the user's videos that may have taught the file.

        Args:
            user: a user of the index.
            source: the tree's frames, at the file's size.
            workers: processes that read.

        Raises:
            DataError: if there is no test video, one of an unknown object, or one that taught the file, or a frame
            can't
                be read.
        """
        rows = self.index.select(split=self.split, user=user)
        asked = [
            row
            for row in sorted(rows, key=lambda row: (row.object, row.video))
            if row.video_type == self.plan.query.video_type and row.frames >= self.plan.query.min_frames
        ]
        self._require_known(user, asked)
        taught = self._taught(rows, source, workers=workers)
        if twice := [row for row in asked if row.video in taught]:
            places = listed([str(self.index.root / row.path) for row in twice])
            raise DataError(
                f"{places}: also taught {self.file} ({taught[twice[0].video].object}); a video that teaches can't "
                "test: remove it from the tree, or teach without it"
            )
        objects = self.personal.objects
        support = [
            VideoPlan(row.video, objects.index(taught[row.video].object), taught[row.video].frames)
            for row in rows
            if row.video in taught
        ]
        query = [VideoPlan(row.video, objects.index(row.object), tuple(range(1, row.frames + 1))) for row in asked]
        return TaskSet(
            protocol=self.plan.name,
            split=self.split,
            seed=self.seed,
            every_query_frame=True,
            data_fingerprint=self.index.fingerprint,
            left_out=(),
            tasks=(Task(user, 0, objects, tuple(sorted(support, key=lambda plan: plan.label)), tuple(query)),),
        )

    def _require_known(self, user: str, asked: Sequence[VideoRow]) -> None:
        kind = self.plan.query.video_type
        if not asked:
            raise DataError(
                f"{self.index.root}: user {user} has no {kind} videos to test with; film some that do not teach, "
                f"and put them into OBJECT/{kind}/"
            )
        if unknown := sorted({row.object for row in asked} - set(self.personal.objects)):
            raise DataError(
                f"{self.index.root}: user {user} has {kind} videos of {listed([*map(repr, unknown)])}, unknown to "
                f"{self.file}, which knows {', '.join(self.personal.objects)}. Teach it ('orbit-lite personalize "
                "--update'), or remove them from the tree"
            )

    def _taught(self, rows: Sequence[VideoRow], source: FrameSource, *, workers: int) -> dict[str, TaughtVideo]:
        """The videos that taught the file, by name, found by comparing the pixels of the same frames."""
        by_frames: dict[tuple[int, tuple[int, ...]], dict[str, TaughtVideo]] = defaultdict(dict)
        for video in self.personal.support.videos:
            by_frames[video.length, video.frames][video.digest] = video
        may_be = [(row, known) for row in rows for known in by_frames if known[0] == row.frames]
        jobs = [FrameJob(row.video, frames) for row, (_, frames) in may_be]
        digests = read_ahead(jobs, _ReadDigest(source), workers=max(workers, source.least_workers))
        found = {}
        for (row, known), digest in zip(may_be, digests, strict=True):
            if digest in by_frames[known]:
                found[row.video] = by_frames[known][digest]
        return found


@dataclass(frozen=True)
class _ReadDigest:
    """Reads the digest of some frames of a video."""

    source: FrameSource

    def __call__(self, job: FrameJob) -> str:
        return pictures_digest(self.source.read(job.video, job.frames))
