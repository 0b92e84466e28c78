"""Which classes of a source are for training, validation or test, where a protocol says so and not the tree."""

from collections.abc import Collection
from pathlib import Path

from data_prep.tree.class_lists import read_class_lists
from groundwork.errors import DataError
from groundwork.randomness import keyed_rng
from orbit_lite.episode_plan import ClassSplit


def classes_of(split: str, source: str, classes: Collection[str], plan: ClassSplit) -> set[str]:
    """The classes of one source that belong to a split, by name, by seed or by a list.

    Args:
        split: train, validation or test.
        source: which one; its order at random does not depend on other sources.
        classes: all that the source has.
        plan: how they are split; not by the tree.

    Raises:
        UsageError: if the list can't be read, or is none.
        DataError: if a list has a class in two splits.
    """
    if plan.file is not None:
        return _listed_classes(split, source, classes, plan.file)
    order = sorted(classes)
    if plan.by == "seed":
        order = [order[place] for place in keyed_rng(plan.seed, source, "classes").permutation(len(order))]
    train, validation = (round(share * len(order)) for share in (plan.shares[0], sum(plan.shares)))
    parts = {"train": order[:train], "validation": order[train:validation], "test": order[validation:]}
    return set(parts[split])


def _listed_classes(split: str, source: str, classes: Collection[str], file: Path) -> set[str]:
    """A name that is listed belongs to every source that has it; `SOURCE/CLASS` is of this source alone."""
    lists = read_class_lists(file)
    found: dict[str, str] = {}
    for part, names in lists.items():
        for name in names:
            own = name.removeprefix(f"{source}/")
            if own in classes and found.setdefault(own, part) != part:
                raise DataError(
                    f"{file}: class {own!r} of {source} is in {found[own]} and in {part}; leave it in one of the two"
                )
    return {name for name, part in found.items() if part == split}
