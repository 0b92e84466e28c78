"""Plans the reading for the episodes of one source: each distinct image once per state of the extractor."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.formats.records import Task, VideoPlan
from orbit_lite.data.loader import ImagesJob
from orbit_lite.evaluation.user_work import FRAMES_A_JOB

Image = tuple[str, int]  # video and frame
Support = tuple[VideoPlan, ...]


@dataclass(frozen=True)
class Round:
    """Tasks that are predicted with one state of the extractor, and their distinct images.

    one_support: whether all tasks have the same support set. If so, it is read first, in the order of its plans, and
        `images` holds only query images; otherwise `images` holds support and query images.
    """

    tasks: tuple[Task, ...]
    images: tuple[Image, ...]
    one_support: bool

    @property
    def support(self) -> Support:
        """The support set of the first task."""
        return self.tasks[0].support

    def support_jobs(self) -> list[ImagesJob]:
        """The jobs that read the shared support set; none if the tasks have several."""
        return _jobs([image_of(plan) for plan in self.support]) if self.one_support else []

    def image_jobs(self) -> list[ImagesJob]:
        """The jobs that read `images`."""
        return _jobs(self.images)


@dataclass(frozen=True)
class SourceWork:
    """All episodes of one source, in rounds."""

    source: str
    tasks: tuple[Task, ...]
    rounds: tuple[Round, ...]

    @classmethod
    def of(cls, source: str, tasks: Sequence[Task], *, shares_features: bool) -> "SourceWork":
        """One round for all tasks if features are shared by all support sets; otherwise one round per support set."""
        by_support: dict[Support, list[Task]] = defaultdict(list)
        for task in tasks:
            by_support[task.support].append(task)
        if shares_features and len(by_support) > 1:
            rounds = [Round(tuple(tasks), _distinct(tasks, support=True), one_support=False)]
        else:
            rounds = [Round(tuple(own), _distinct(own), one_support=True) for own in by_support.values()]
        return cls(source, tuple(tasks), tuple(rounds))

    def jobs(self) -> list[ImagesJob]:
        """All reading jobs for this source, in the order of use."""
        return [job for one in self.rounds for job in (*one.support_jobs(), *one.image_jobs())]


def image_of(plan: VideoPlan) -> Image:
    """The image of a plan with a single frame."""
    return plan.video, plan.frames[0]


def _distinct(tasks: Iterable[Task], *, support: bool = False) -> tuple[Image, ...]:
    plans = (plan for task in tasks for plan in (*(task.support if support else ()), *task.query))
    return tuple(sorted({image_of(plan) for plan in plans}))


def _jobs(images: Sequence[Image]) -> list[ImagesJob]:
    return [ImagesJob(tuple(images[start : start + FRAMES_A_JOB])) for start in range(0, len(images), FRAMES_A_JOB)]
