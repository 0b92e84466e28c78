"""Plans the reading for one user's tasks: each distinct support set once, and each distinct query frame once."""

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
    """The distinct frames to read of one video, ascending."""

    video: str
    frames: tuple[int, ...]

    @classmethod
    def of(cls, video: str, plans: Iterable[Planned]) -> "VideoFrames":
        """All frames of the video that some tasks' plans use, including those of their clips."""
        wanted = {frame for task, plan in plans for frame in trailing_clips(plan.frames, task.clip_length)}
        return cls(video, tuple(sorted(wanted)))

    def jobs(self) -> list[FrameJob]:
        """Jobs for the frames, each small enough to read ahead."""
        pieces = range(0, len(self.frames), FRAMES_A_JOB)
        return [FrameJob(self.video, self.frames[start : start + FRAMES_A_JOB]) for start in pieces]


@dataclass(frozen=True)
class UserWork:
    """The reading for one user's tasks: the distinct support sets, and for each query video the frames of all tasks.

    With a filter, the frames of a query video are all frames up to the last one to predict.
    """

    user: str
    tasks: tuple[Task, ...]
    supports: tuple[Support, ...]
    queries: tuple[VideoFrames, ...]
    causal_filter: CausalFilter | None = None

    @classmethod
    def of(cls, user: str, tasks: Sequence[Task], causal_filter: CausalFilter | None = None) -> "UserWork":
        """Collect the distinct support sets and query frames of the tasks."""
        plans: dict[str, list[Planned]] = defaultdict(list)
        for task in tasks:
            for plan in task.query:
                plans[plan.video].append((task, causal_filter.needed(plan) if causal_filter else plan))
        queries = tuple(VideoFrames.of(video, own) for video, own in sorted(plans.items()))
        return cls(user, tuple(tasks), tuple(dict.fromkeys(task.support for task in tasks)), queries, causal_filter)

    def needed(self, plan: VideoPlan) -> VideoPlan:
        """The frames of a query video to read in order to predict a plan's frames."""
        return self.causal_filter.needed(plan) if self.causal_filter else plan

    def to_read(self) -> list[Task]:
        """The tasks with all frames to read, for predicting each task separately."""
        return [replace(task, query=tuple(map(self.needed, task.query))) for task in self.tasks]

    def jobs(self) -> list[FrameJob]:
        """All reading jobs for this user, in the order of use."""
        support = [FrameJob(plan.video, plan.frames) for plans in self.supports for plan in plans]
        return support + [job for query in self.queries for job in query.jobs()]


def extra_frames(task: Task, causal_filter: CausalFilter) -> int:
    """How many more query frames of a task are read with the filter than without."""
    frames = 0
    for plan in task.query:
        with_filter, without = (
            VideoFrames.of(plan.video, [(task, read)]) for read in (causal_filter.needed(plan), plan)
        )
        frames += len(with_filter.frames) - len(without.frames)
    return frames
