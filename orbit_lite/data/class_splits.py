"""Splits a source's classes into training, validation and test where the protocol, not the tree, defines the split."""

from collections.abc import Collection
from pathlib import Path

from data_prep.tree.class_lists import read_class_lists
from groundwork.errors import DataError
from groundwork.randomness import keyed_rng
from orbit_lite.episode_plan import ClassSplit


def classes_of(split: str, source: str, classes: Collection[str], plan: ClassSplit) -> set[str]:
    """The classes of one source that belong to a split, by name, by seed or by a list file.

    Args:
        split: train, validation or test.
        source: the source's name; its random order does not depend on other sources.
        classes: all classes of the source.
        plan: how to split them; not `by: tree`.

    Raises:
        UsageError: if the list file can't be read, or is not such a list.
        DataError: if the list has a class in two splits.
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
    """The listed classes of one source: a plain name applies to every source that has the class, `SOURCE/CLASS` to
    one."""
    lists = read_class_lists(file)
    found: dict[str, str] = {}
    for part, names in lists.items():
        for name in names:
            own = name.removeprefix(f"{source}/")
            if own in classes and found.setdefault(own, part) != part:
                raise DataError(
                    f"{file}: class {own!r} of {source} is in both {found[own]} and {part}; keep it in one of the two"
                )
    return {name for name, part in found.items() if part == split}
