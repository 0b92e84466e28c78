"""Protocols for episodes on still images: the few-shot tasks of image benchmarks.

A source is one data set, stored as a user of the tree; its objects are the classes, and each of its videos is one
image. If a video has several frames, an episode takes one of them at random, so frames of one video are never in both
support and query.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from groundwork.strict_model import Strict

Way = Annotated[int, Field(ge=2)]
Part = Annotated[float, Field(ge=0, le=1)]


class ClassSplit(Strict):
    """Which of a source's classes are for training, validation and test.

    by: `tree` uses the tree's split folders; `name` takes classes in order of name, training first; `seed` takes them
        in a random order; `list` reads `file`, JSON of the form {"train": [...], "validation": [...], "test": [...]}.
    shares: for `name` and `seed`, the shares of classes in train and validation; the rest is test.
    seed: the seed of the random order, independent of the tasks' seed.
    """

    by: Literal["tree", "name", "seed", "list"] = "tree"
    shares: tuple[Part, Part] = (0.64, 0.16)
    seed: Annotated[int, Field(ge=0)] = 0
    file: Path | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if (self.file is None) == (self.by == "list"):
            raise ValueError("file and by: list must be used together")
        if sum(self.shares) > 1:
            raise ValueError("the shares of train and validation must sum to at most 1")
        return self


class EpisodePlan(Strict):
    """What the three kinds of episodes have in common.

    tasks_per_user: tasks per source.
    tasks: tasks in total, each of a source drawn uniformly. Exactly one of the two is set.
    """

    name: str
    tasks_per_user: PositiveInt | None = None
    tasks: PositiveInt | None = None
    classes: ClassSplit = ClassSplit()

    @model_validator(mode="after")
    def _one_number_of_tasks(self) -> Self:
        if (self.tasks is None) == (self.tasks_per_user is None):
            raise ValueError("expected exactly one of tasks (in total) and tasks_per_user")
        return self


class FixedEpisodes(EpisodePlan):
    """N-way K-shot: `way` classes drawn uniformly, with `shot` support images and `query` query images of each."""

    episodes: Literal["fixed"]
    way: Way
    shot: PositiveInt
    query: PositiveInt


class RandomEpisodes(EpisodePlan):
    """Meta-Dataset's episodes: the way, the shots and their imbalance are random; see `random_sizes` for the
    formulas."""

    episodes: Literal["random"]
    least_way: Way = 5
    most_way: Way = 50
    most_query: PositiveInt = 10
    most_support: PositiveInt = 500
    most_support_of_class: PositiveInt = 100

    @model_validator(mode="after")
    def _room_for_every_class(self) -> Self:
        if not self.least_way <= self.most_way <= self.most_support:
            raise ValueError(
                "expected least_way <= most_way <= most_support: each class needs at least one support image"
            )
        return self


class WholeEpisodes(EpisodePlan):
    """All classes of a source: `support` training images, at least one of each class, and every test image as query."""

    episodes: Literal["whole"]
    support: PositiveInt

    @model_validator(mode="after")
    def _splits_of_images(self) -> Self:
        if self.classes != ClassSplit():
            raise ValueError(
                "episodes: whole uses every class for support and query, so classes can't be split; remove classes"
            )
        return self


AnyEpisodes = FixedEpisodes | RandomEpisodes | WholeEpisodes
EPISODES: dict[str, type[AnyEpisodes]] = {"fixed": FixedEpisodes, "random": RandomEpisodes, "whole": WholeEpisodes}
