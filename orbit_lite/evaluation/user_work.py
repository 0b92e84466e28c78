"""What one user's tasks have to read: each support set once, and each distinct frame of each query video once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from eval.formats.records import Task, VideoPlan
from orbit_lite.data.loader import FrameJob, trailing_clips
from orbit_lite.evaluation.causal_filter import CausalFilter

FRAMES_A_JOB = 64

Support = tuple[VideoPlan, ...]
Planned = tuple[Task, VideoPlan]


@dataclass(frozen=True)
class VideoFrames:
    """The distinct frames wanted of one video, rising."""

    video: str
    frames: tuple[int, ...]

    @classmethod
    def of(cls, video: str, plans: Iterable[Planned]) -> "VideoFrames":
        """All frames that some tasks' plans of the video take, their clips' too."""
        wanted = {frame for task, plan in plans for frame in trailing_clips(plan.frames, task.clip_length)}
        return cls(video, tuple(sorted(wanted)))

    def jobs(self) -> list[FrameJob]:
        """The frames in pieces small enough to read ahead."""
        pieces = range(0, len(self.frames), FRAMES_A_JOB)
        return [FrameJob(self.video, self.frames[start : start + FRAMES_A_JOB]) for start in pieces]


@dataclass(frozen=True)
class UserWork:
    """What one user's tasks need: their distinct support sets, and of each query video the frames of all tasks.

    With a filter, that is every frame up to the last that is to be predicted.
    """

    user: str
    tasks: tuple[Task, ...]
    supports: tuple[Support, ...]
    queries: tuple[VideoFrames, ...]
    causal_filter: CausalFilter | None = None

    @classmethod
    def of(cls, user: str, tasks: Sequence[Task], causal_filter: CausalFilter | None = None) -> "UserWork":
        """Gather what the tasks have in common."""
        plans: dict[str, list[Planned]] = defaultdict(list)
        for task in tasks:
            for plan in task.query:
                plans[plan.video].append((task, causal_filter.needed(plan) if causal_filter else plan))
        queries = tuple(VideoFrames.of(video, own) for video, own in sorted(plans.items()))
        return cls(user, tuple(tasks), tuple(dict.fromkeys(task.support for task in tasks)), queries, causal_filter)

    def needed(self, plan: VideoPlan) -> VideoPlan:
        """What must be read of a query video to predict some of its frames."""
        return self.causal_filter.needed(plan) if self.causal_filter else plan

    def to_read(self) -> list[Task]:
        """The tasks as they must be read, where each is predicted by itself."""
        return [replace(task, query=tuple(map(self.needed, task.query))) for task in self.tasks]

    def jobs(self) -> list[FrameJob]:
        """All reading for this user, in the order in which it is used."""
        support = [FrameJob(plan.video, plan.frames) for plans in self.supports for plan in plans]
        return support + [job for query in self.queries for job in query.jobs()]


def extra_frames(task: Task, causal_filter: CausalFilter) -> int:
    """How many query frames a task reads with the filter beside those that it reads without."""
    frames = 0
    for plan in task.query:
        with_filter, without = (
            VideoFrames.of(plan.video, [(task, read)]) for read in (causal_filter.needed(plan), plan)
        )
        frames += len(with_filter.frames) - len(without.frames)
    return frames
