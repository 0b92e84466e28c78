"""Which classes of a source are for training, validation or test, where a protocol says so and not the tree."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from data_prep.tree.layout import SPLIT_NAMES
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json
from groundwork.words import listed, nearest
from orbit_lite.episode_plan import ClassSplit


def classes_of(split: str, source: str, classes: Collection[str], plan: ClassSplit) -> set[str]:
    """The classes of one source that belong to a split, by name, by seed or by a list.

    Args:
        split: train, validation or test.
        source: which one; its order at random does not depend on other sources.
        classes: all that the source has.
        plan: how they are split; not by the tree.

    Raises:
        AskedWrong: if the list can't be read, or is none.
        FoundWrong: if a list has a class in two splits.
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
    lists = _read_list(file)
    found: dict[str, str] = {}
    for part, names in lists.items():
        for name in names:
            own = name.removeprefix(f"{source}/")
            if own in classes and found.setdefault(own, part) != part:
                raise FoundWrong(
                    f"{file}: class {own!r} of {source} is in {found[own]} and in {part}; leave it in one of the two"
                )
    return {name for name, part in found.items() if part == split}


def _read_list(file: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        content: Any = parse_json(file.read_bytes())
    except OSError as error:
        raise AskedWrong(f"{file}: can't be read ({error.strerror}); expected a JSON file of classes") from None
    except ValueError as error:
        raise FoundWrong(f"{file}: not JSON ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise FoundWrong(f'{file}: expected {{"train": [...], "validation": [...], "test": [...]}}, names of classes')
    if unknown := [name for name in content if name not in SPLIT_NAMES]:
        near = nearest(unknown[0], SPLIT_NAMES)
        raise FoundWrong(f"{file}: unknown split {unknown[0]!r}{near}; known: {listed([*SPLIT_NAMES])}")
    if any(not isinstance(name, str) for names in content.values() for name in names):
        raise FoundWrong(f"{file}: a class that is no text; expected names")
    lists: dict[str, tuple[str, ...]] = {}
    for split, names in content.items():
        lists[SPLIT_NAMES[split]] = (*lists.get(SPLIT_NAMES[split], ()), *names)
    return lists
