"""Draws episodes as plans: classes and images of one source, keyed by (seed, source, task number); reads no pixels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import SPLITS
from eval.formats.records import LeftOut, Task, TaskSet, VideoPlan
from groundwork.errors import DataError, UsageError
from groundwork.randomness import keyed_rng
from groundwork.words import counted, listed, nearest
from orbit_lite.data.class_splits import classes_of
from orbit_lite.data.episode_sizes import Numbers, draw_sizes, least_classes, least_images
from orbit_lite.data.numbering import task_numbers
from orbit_lite.data.source_images import SourceImages, by_class, without_copies
from orbit_lite.episode_plan import AnyEpisodes, FixedEpisodes, RandomEpisodes, WholeEpisodes

SUPPORT_SPLIT = "train"  # WholeEpisodes: the split of the support images
FindCopies = Callable[[Iterable[VideoRow]], Mapping[str, str]]
_ONE = (1,)  # frame numbers of a single image


class EpisodeSampler:
    """Draws the tasks of one plan from the still images of an index.

    A draw only indexes arrays of counts and names, so it takes as long for a million images as for a thousand.
    """

    def __init__(
        self, index: Index, plan: AnyEpisodes, *, split: str, seed: int, copies: FindCopies | None = None
    ) -> None:
        """Group the images by source and class.

        Args:
            index: still images, as `prep images` makes them; clean and clutter are treated alike.
            plan: the protocol.
            split: the split of the classes; for `WholeEpisodes`, of the query images.
            seed: the seed of all draws.
            copies: finds copies of the same image, see `data_prep.tree.copies`; None: assume that there are none.

        Raises:
            UsageError: for an unknown split, or one that the tree does not have.
            DataError: if a source has too few classes or images, or a class is in two splits.
        """
        self.plan, self.seed = plan, seed
        self.split = _resolve_split(index, plan, split)
        self._index: Index | None = index  # not sent to workers
        self._left_out: list[LeftOut] = []
        self._support: dict[str, SourceImages] = {}
        self._query: dict[str, SourceImages] = {}
        rows: dict[str, list[VideoRow]] = defaultdict(list)
        for row in index.rows:
            rows[row.user].append(row)
        chosen = {source: self._rows_of_split(source, rows[source]) for source in sorted(rows)}
        same = copies(row for of_source in chosen.values() for row in of_source) if copies else {}
        for source, of_source in chosen.items():
            self._add(source, of_source, same)
        if not self._support:
            raise DataError(
                f"{index.root}: no images in split {self.split}; protocol {plan.name} can't draw tasks from it"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the index out: drawing does not need it."""
        return self.__dict__ | {"_index": None}

    @property
    def users(self) -> tuple[str, ...]:
        """The sources, sorted."""
        return tuple(self._support)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Images and classes that are in no task, and why."""
        return tuple(self._left_out)

    @cached_property
    def frames(self) -> int:
        """How many images tasks can choose from."""
        pools = [*self._support.values(), *(pool for s, pool in self._query.items() if pool is not self._support[s])]
        return sum(len(pool.videos) for pool in pools)

    def draw(self, user: str, task: int) -> Task:
        """The task with this number. It depends only on the seed, the source, the number and the images."""
        if isinstance(self.plan, WholeEpisodes):
            return self._draw_whole(self.plan, user, task)
        images, plan = self._support[user], self.plan
        sizes = draw_sizes(plan, images.counts, keyed_rng(self.seed, user, task))
        names = tuple(images.classes[place] for place in sizes.classes)
        starts, counts = images.starts[sizes.classes].tolist(), images.counts[sizes.classes].tolist()
        support: list[VideoPlan] = []
        query: list[VideoPlan] = []
        for label, (name, size) in enumerate(zip(names, sizes.support.tolist(), strict=True)):
            rng = keyed_rng(self.seed, user, task, "images", name)
            places = starts[label] + rng.choice(counts[label], size + sizes.query, replace=False)
            support += self._plans(images, np.sort(places[:size]), label, rng)
            query += self._plans(images, np.sort(places[size:]), label, rng)
        return Task(user, task, names, tuple(support), tuple(query))

    def draw_all(self, *, tasks_per_user: int | None = None, tasks: int | None = None) -> TaskSet:
        """All tasks, as the manifest that predict and score read."""
        if self._index is None:
            raise ValueError("a sampler that was sent to a worker can only draw single tasks")
        numbers = task_numbers(self.plan, self.users, seed=self.seed, tasks_per_user=tasks_per_user, tasks=tasks)
        return TaskSet(
            protocol=self.plan.name,
            split=self.split,
            seed=self.seed,
            every_query_frame=False,
            data_fingerprint=self._index.fingerprint,
            left_out=self.left_out,
            tasks=tuple(self.draw(user, task) for user, task in numbers),
            single_images=True,
        )

    def _draw_whole(self, plan: WholeEpisodes, user: str, task: int) -> Task:
        """Shuffle the training images; take the first of each class, then the others in this order until there are
        enough."""
        images, asked = self._support[user], self._query[user]
        rng = keyed_rng(self.seed, user, task)
        order = rng.permutation(len(images.videos))
        _, first = np.unique(images.labels[order], return_index=True)
        others = np.delete(order, first)
        chosen = np.sort(np.concatenate([order[first], others])[: plan.support])
        left = np.arange(len(asked.videos))
        if asked is images:
            left = np.setdiff1d(left, chosen)
        support, query = (
            [one for label, own in _by_label(pool, places) for one in self._plans(pool, own, label, rng)]
            for pool, places in ((images, chosen), (asked, left))
        )
        return Task(user, task, images.classes, tuple(support), tuple(query))

    @staticmethod
    def _plans(images: SourceImages, places: Numbers, label: int, rng: np.random.Generator) -> list[VideoPlan]:
        """One plan per image; of a video with several frames, one frame is drawn at random."""
        found = []
        for place, frames in zip(places.tolist(), images.frames[places].tolist(), strict=True):
            frame = _ONE if frames == 1 else (int(rng.integers(frames)) + 1,)
            found.append(VideoPlan(images.videos[place], label, frame))
        return found

    def _add(self, source: str, rows: list[VideoRow], copies: Mapping[str, str]) -> None:
        """Add one source, unless it has no images in the split."""
        if isinstance(self.plan, WholeEpisodes):
            self._add_whole(self.plan, source, rows, copies)
            return
        if not rows:
            return
        found, left_out = without_copies(by_class(rows), copies)
        self._left_out += left_out
        needed = least_images(self.plan)
        few = {name: len(images) for name, images in found.items() if len(images) < needed}
        self._left_out += [
            LeftOut(source, name, "", f"{counted(count, 'image')}, {needed} needed") for name, count in few.items()
        ]
        classes = [name for name in found if name not in few]
        if len(classes) < least_classes(self.plan):
            raise DataError(self._too_few_classes(source, len(classes), needed, few))
        self._support[source] = self._query[source] = SourceImages.of(found, classes)

    def _add_whole(self, plan: WholeEpisodes, source: str, rows: list[VideoRow], copies: Mapping[str, str]) -> None:
        asked = [row for row in rows if row.split == self.split]
        teach = [row for row in rows if row.split == SUPPORT_SPLIT] if self.split else asked
        if not asked:
            return
        found, left_out = without_copies(by_class(teach), copies, kept=asked if self.split else ())
        self._left_out += left_out
        query = by_class(asked) if self.split else found
        where = f"{self._root}: source {source}"
        classes = sorted({name for name in (*found, *query) if found.get(name) or query.get(name)})
        if len(classes) < 2:
            raise DataError(f"{where}: {counted(len(classes), 'class', 'classes')}; a task needs at least 2")
        if untaught := [name for name in classes if not found.get(name)]:
            raise DataError(
                f"{where}: classes without a training image: {listed(untaught)}; protocol {plan.name} needs at "
                f"least one image of each class in split {SUPPORT_SPLIT}"
            )
        images = sum(map(len, found.values()))
        if plan.support < len(classes) or images < plan.support + (not self.split):
            raise DataError(
                f"{where}: {counted(len(classes), 'class', 'classes')} with {counted(images, 'training image')}; "
                f"protocol {plan.name} needs {plan.support} images, at least one of each class"
                f"{'' if self.split else ', and further images as queries'}. Set another number with --set support=N"
            )
        self._support[source] = SourceImages.of(found, classes)
        self._query[source] = SourceImages.of(query, classes) if self.split else self._support[source]

    def _rows_of_split(self, source: str, rows: list[VideoRow]) -> list[VideoRow]:
        """One source's images that tasks can take: those of the split's classes; for `WholeEpisodes`, training images
        too.

        Raises:
            DataError: if the tree has a class both in this split and in another.
        """
        if isinstance(self.plan, WholeEpisodes):
            return [row for row in rows if row.split in (self.split, SUPPORT_SPLIT if self.split else "")]
        plan = self.plan.classes
        if plan.by != "tree":
            classes = classes_of(self.split, source, {row.object for row in rows}, plan)
            return [row for row in rows if row.object in classes]
        chosen = [row for row in rows if row.split == self.split]
        others = {row.object: row.split for row in rows if row.split != self.split}
        if twice := sorted({row.object for row in chosen} & others.keys()):
            raise DataError(
                f"{self._root}: source {source}: {counted(len(twice), 'class', 'classes')} in two splits, "
                f"{self.split} and {others[twice[0]]}: {listed(twice)}. Protocol {self.plan.name} tests on "
                "classes that were not trained on: move each class to one split, or split the classes at random "
                "with --set classes.by=seed"
            )
        return chosen

    def _too_few_classes(self, source: str, classes: int, needed: int, few: Mapping[str, int]) -> str:
        wanted = least_classes(self.plan) if not isinstance(self.plan, WholeEpisodes) else 2
        which = listed([f"{name} has {count}" for name, count in sorted(few.items())])
        more = f"; too few images: {which}" if few else ""
        what = "images" if few else "classes with images"
        split = f" of split {self.split}" if self.split else ""
        return (
            f"{self._root}: source {source}: {counted(classes, 'class', 'classes')}{split} with at least "
            f"{needed} images; protocol {self.plan.name} needs {wanted}{more}. Add {what}, or reduce the numbers "
            "with --set"
        )

    @property
    def _root(self) -> str:
        return str(self._index.root) if self._index else ""


def _by_label(images: SourceImages, places: Numbers) -> Iterable[tuple[int, Numbers]]:
    """Group ascending image indices by class; classes without images are left out."""
    labels, starts = np.unique(images.labels[places], return_index=True)
    return zip(labels.tolist(), np.split(places, starts[1:]), strict=True)


def _resolve_split(index: Index, plan: AnyEpisodes, split: str) -> str:
    """Check the split's name; "" for a tree without splits if the plan does not define splits of its own."""
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}{nearest(split, SPLITS)}; known: {', '.join(SPLITS)}")
    if isinstance(plan, WholeEpisodes) and split == SUPPORT_SPLIT:
        raise UsageError(
            f"protocol {plan.name}: images of split {SUPPORT_SPLIT} are for support; choose split validation or test"
        )
    if isinstance(plan, FixedEpisodes | RandomEpisodes) and plan.classes.by != "tree":
        return split
    if index.splits == ("",):
        if split != "test":
            raise UsageError(
                f"{index.root}: this tree has no splits, so it has no classes for {split}; split the classes at "
                "random with --set classes.by=seed"
            )
        return ""
    if split not in index.splits:
        raise UsageError(f"{index.root}: no split {split!r} in this tree; it has {', '.join(index.splits)}")
    return split
