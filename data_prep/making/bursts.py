"""Groups an object's pictures into videos, and decides which videos are clutter.

Photos taken in a row are nearly copies of each other. The kit measures itself on held-out videos, so such photos have
to be in the same video. By default each picture is a separate video, because only the user knows which pictures were
taken in a row; the size of a burst says it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.making.picture_folders import PictureFile
from data_prep.tree.layout import TREE_TYPES, VideoName, slug
from data_prep.tree.naming import why_too_long
from data_prep.tree.stills import stills_id
from groundwork.errors import DataError
from groundwork.randomness import keyed_rng

_CLUTTER = TREE_TYPES[1]


@dataclass(frozen=True)
class Burst:
    """One or more consecutive pictures of one object. `number` counts the object's bursts of this type from 1."""

    number: int
    video_type: str
    pictures: tuple[PictureFile, ...]

    @property
    def first(self) -> PictureFile:
        return self.pictures[0]

    @property
    def name(self) -> str:
        """The video's name, `USER--OBJECT--TYPE--ID`."""
        video_id = stills_id(self.number, self.first.split)
        return str(VideoName(self.first.user, slug(self.first.object), self.video_type, video_id))

    @property
    def place(self) -> tuple[str, ...]:
        """Its folder in a frame tree, as names from the root."""
        first = self.first
        return tuple(part for part in (first.split, first.user, first.object, self.video_type, self.name) if part)


def plan_bursts(
    pictures: Sequence[PictureFile], taken: Collection[PictureFile], *, size: int, clutter: float, seed: int
) -> list[Burst]:
    """The videos to make.

    Args:
        pictures: all pictures, in order. How they are grouped into bursts does not depend on `taken`.
        taken: the pictures that can be read and are not copies.
        size: pictures per burst.
        clutter: share of each object's bursts that become clutter: at least one, but not all if there are two or more.
        seed: seed of the draw, which also depends on the object and the number of its bursts.
    """
    groups: dict[tuple[str, str, str, str], list[PictureFile]] = defaultdict(list)
    for picture in pictures:
        groups[(picture.split, *picture.thing, picture.video_type)].append(picture)
    bursts: list[Burst] = []
    for (split, user, thing, video_type), group in groups.items():
        chunks = [group[start : start + size] for start in range(0, len(group), size)]
        readable = [tuple(picture for picture in chunk if picture in taken) for chunk in chunks]
        made = [Burst(number, video_type, chunk) for number, chunk in enumerate(readable, start=1) if chunk]
        wanted = min(max(1, round(clutter * len(made))), len(made) - 1) if clutter and made else 0
        drawn = set(keyed_rng(seed, split, user, thing).permutation(len(made))[:wanted].tolist())
        bursts += [replace(burst, video_type=_CLUTTER) if place in drawn else burst for place, burst in enumerate(made)]
    return bursts


def with_one_video(bursts: Sequence[Burst]) -> list[str]:
    """Names of the objects that have a single video."""
    counts = Counter((burst.first.split, *burst.first.thing) for burst in bursts)
    return [thing for (_, _, thing), count in counts.items() if count == 1]


def refuse_names(source: Path, bursts: Sequence[Burst]) -> None:
    """Require that every video's name is allowed and unique.

    Raises:
        DataError: otherwise; the message begins with `source`.
    """
    objects: dict[str, str] = {}
    for burst in bursts:
        name, thing = burst.name, burst.first.object
        if too_long := why_too_long(burst.first.relative, name):
            raise DataError(f"{source}: {too_long}")
        if objects.setdefault(name, thing) != thing:
            raise DataError(f"{source}: objects {objects[name]!r} and {thing!r} differ only in dashes. Rename one.")
