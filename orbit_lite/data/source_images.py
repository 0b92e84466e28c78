"""The classes of a source of episodes and the images of each, as arrays that a draw only indexes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.index import VideoRow
from eval.formats.records import LeftOut

Numbers = NDArray[np.int64]
ByClass = Mapping[str, Sequence[VideoRow]]


@dataclass(frozen=True, eq=False)
class SourceImages:
    """Images of one source, class by class.

    classes: names, sorted.
    starts: the index in `videos` where each class begins, then the end of the last, (classes + 1,).
    videos: names, sorted within each class.
    frames: the number of frames of each video, (images,).
    """

    classes: tuple[str, ...]
    starts: Numbers
    videos: Sequence[str]
    frames: Numbers

    @classmethod
    def of(cls, rows: ByClass, classes: Iterable[str]) -> "SourceImages":
        """The images of these classes; a class may have none."""
        names = tuple(sorted(classes))
        groups = [sorted(rows.get(name, ()), key=lambda row: row.video) for name in names]
        starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)
        images = [row for group in groups for row in group]
        frames = np.array([row.frames for row in images], np.int64)
        return cls(names, starts, [row.video for row in images], frames)

    @property
    def counts(self) -> Numbers:
        """The number of images of each class, (classes,)."""
        return np.diff(self.starts)

    @property
    def labels(self) -> Numbers:
        """The class of each image, as an index into `classes`, (images,)."""
        return np.repeat(np.arange(len(self.classes)), self.counts)


def by_class(rows: Iterable[VideoRow]) -> dict[str, list[VideoRow]]:
    """Group the rows of one source by object."""
    found: dict[str, list[VideoRow]] = defaultdict(list)
    for row in rows:
        found[row.object].append(row)
    return found


def without_copies(
    rows: ByClass, copies: Mapping[str, str], *, kept: Iterable[VideoRow] = ()
) -> tuple[dict[str, list[VideoRow]], list[LeftOut]]:
    """Keep one of each set of copies: the first by name if all are in one class, none if they are in several classes.

    Args:
        rows: one source's images.
        copies: for each image that has copies, the name of their group; see `find_copies`.
        kept: images that always stay; copies of them among the rows are dropped.

    Returns:
        the rows that stay, and the rows that are left out, with reasons.
    """
    stays: dict[str, tuple[str, str]] = {}  # group of copies -> video and class of the one that is kept
    several: dict[str, set[str]] = defaultdict(set)
    stays |= {copies[row.video]: (row.video, "") for row in kept if row.video in copies}
    alike = sorted((name, row.video) for name in rows for row in rows[name] if row.video in copies)
    for name, video in alike:
        several[copies[video]].add(name)
    for name, video in sorted(alike, key=lambda one: one[1]):
        stays.setdefault(copies[video], (video, name))
    found: dict[str, list[VideoRow]] = {}
    left_out = []
    for name in sorted(rows):
        found[name] = []
        for row in sorted(rows[name], key=lambda row: row.video):
            group = copies.get(row.video)
            if group is None or (stays[group] == (row.video, name) and len(several[group]) == 1):
                found[name].append(row)
                continue
            first, other = stays[group][0], sorted(several[group] - {name})
            reason = f"the same picture as {first}" if first != row.video else "the same picture as others"
            reason += f", under {other[0]} as well" if other else ""
            left_out.append(LeftOut(row.user, name, row.video, reason))
    return found, left_out
