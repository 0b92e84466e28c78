"""What the episodes of one source have to read: each distinct image once for each state of the extractor."""

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
    """Tasks that are predicted with one state of the extractor, and the images that they take of it, each once.

    one_support: whether all tasks have one support set, which is then read first, in its plans' order, and `images` are
    the tasks' query images alone; else `images` are all of support and query.
    """

    tasks: tuple[Task, ...]
    images: tuple[Image, ...]
    one_support: bool

    @property
    def support(self) -> Support:
        """The support set of the first task."""
        return self.tasks[0].support

    def support_jobs(self) -> list[ImagesJob]:
        """Reading of the one support set; none where the tasks have several."""
        return _jobs([image_of(plan) for plan in self.support]) if self.one_support else []

    def image_jobs(self) -> list[ImagesJob]:
        """Reading of `images`."""
        return _jobs(self.images)


@dataclass(frozen=True)
class SourceWork:
    """All episodes of one source, as rounds."""

    source: str
    tasks: tuple[Task, ...]
    rounds: tuple[Round, ...]

    @classmethod
    def of(cls, source: str, tasks: Sequence[Task], *, shares_features: bool) -> "SourceWork":
        """One round for all, if one set of features serves every support set; else one for each support set."""
        by_support: dict[Support, list[Task]] = defaultdict(list)
        for task in tasks:
            by_support[task.support].append(task)
        if shares_features and len(by_support) > 1:
            rounds = [Round(tuple(tasks), _distinct(tasks, support=True), one_support=False)]
        else:
            rounds = [Round(tuple(own), _distinct(own), one_support=True) for own in by_support.values()]
        return cls(source, tuple(tasks), tuple(rounds))

    def jobs(self) -> list[ImagesJob]:
        """All reading for this source, in the order in which it is used."""
        return [job for one in self.rounds for job in (*one.support_jobs(), *one.image_jobs())]


def image_of(plan: VideoPlan) -> Image:
    """The image that a plan of a single frame takes."""
    return plan.video, plan.frames[0]


def _distinct(tasks: Iterable[Task], *, support: bool = False) -> tuple[Image, ...]:
    plans = (plan for task in tasks for plan in (*(task.support if support else ()), *task.query))
    return tuple(sorted({image_of(plan) for plan in plans}))


def _jobs(images: Sequence[Image]) -> list[ImagesJob]:
    return [ImagesJob(tuple(images[start : start + FRAMES_A_JOB])) for start in range(0, len(images), FRAMES_A_JOB)]
