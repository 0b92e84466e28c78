"""How episodes are drawn from still images: the few-shot tasks of image benchmarks, as protocols.

A source, which is a user of the tree, is one data set; its objects are the classes, each of its videos is one image. Of
a video of several frames an episode takes one at random, so that frames of one video never teach and ask in one task.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from groundwork.strict_model import Strict

Way = Annotated[int, Field(ge=2)]
Part = Annotated[float, Field(ge=0, le=1)]


class ClassSplit(Strict):
    """Which of a source's classes are for training, validation and test.

    by: `tree`, as the tree's folders have them; `name`, the first classes by name train; `seed`, the same in an order
    drawn at random; `list`, as `file` has them, JSON of the form {"train": [...], "validation": [...], "test": [...]}.
    shares: of the classes, for `name` and `seed`: train, validation, and the rest test.
    seed: of the order, the same for every seed of tasks.
    """

    by: Literal["tree", "name", "seed", "list"] = "tree"
    shares: tuple[Part, Part] = (0.64, 0.16)
    seed: Annotated[int, Field(ge=0)] = 0
    file: Path | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if (self.file is None) == (self.by == "list"):
            raise ValueError("a file of classes goes with by: list, and only with it")
        if sum(self.shares) > 1:
            raise ValueError("the shares of train and validation are more than all classes")
        return self


class EpisodePlan(Strict):
    """What the three kinds of episodes have in common.

    tasks_per_user: so many of each source. tasks: so many in all, a source drawn uniformly for each. One of the two.
    """

    name: str
    tasks_per_user: PositiveInt | None = None
    tasks: PositiveInt | None = None
    classes: ClassSplit = ClassSplit()

    @model_validator(mode="after")
    def _one_number_of_tasks(self) -> Self:
        if (self.tasks is None) == (self.tasks_per_user is None):
            raise ValueError("either tasks, in all, or tasks_per_user: one of the two is needed")
        return self


class FixedEpisodes(EpisodePlan):
    """N-way K-shot: `way` classes drawn uniformly, of each `shot` images to teach and `query` others to ask about."""

    episodes: Literal["fixed"]
    way: Way
    shot: PositiveInt
    query: PositiveInt


class RandomEpisodes(EpisodePlan):
    """Meta-Dataset's episodes: way, shots and their imbalance are random; see `random_sizes` for the formulas."""

    episodes: Literal["random"]
    least_way: Way = 5
    most_way: Way = 50
    most_query: PositiveInt = 10
    most_support: PositiveInt = 500
    most_support_of_class: PositiveInt = 100

    @model_validator(mode="after")
    def _room_for_every_class(self) -> Self:
        if not self.least_way <= self.most_way <= self.most_support:
            raise ValueError("expected least_way <= most_way <= most_support: one support image of each class at least")
        return self


class WholeEpisodes(EpisodePlan):
    """All classes of a source: `support` training images, one of each class at least, and every test image as query."""

    episodes: Literal["whole"]
    support: PositiveInt

    @model_validator(mode="after")
    def _splits_of_images(self) -> Self:
        if self.classes != ClassSplit():
            raise ValueError("every class both teaches and is asked about; it can't be in one split")
        return self


AnyEpisodes = FixedEpisodes | RandomEpisodes | WholeEpisodes
EPISODES: dict[str, type[AnyEpisodes]] = {"fixed": FixedEpisodes, "random": RandomEpisodes, "whole": WholeEpisodes}
