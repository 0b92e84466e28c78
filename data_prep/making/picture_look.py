"""Inspects every picture before frames are made: which ones can be read, and which ones are copies of each other."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_prep.making.near_copies import thumbnail
from data_prep.making.picture_folders import PictureFile
from data_prep.video import Photo, read_photo
from data_prep.workers.pool import run_in_workers
from groundwork.errors import DataError, KitError
from groundwork.progress import Progress

LEAST_SIDE_PX = 8  # some data sets have pictures of 28 px; a smaller picture shows nothing


@dataclass(frozen=True)
class Look:
    """Facts about one picture. `pixels`: hash of the upright picture, hex. `thumbnail`: for finding near copies."""

    pixels: str
    width: int
    height: int
    is_first_of_several: bool
    thumbnail: bytes


@dataclass(frozen=True)
class Looked:
    """The result of inspection: the facts of each readable picture, and for each other picture why it can't be read."""

    found: Mapping[PictureFile, Look]
    faults: Mapping[PictureFile, str]


@dataclass(frozen=True)
class Distinct:
    """Pictures to use, in order; `copies` of them, each with the picture that is used instead; and `faults`: pictures
    that appear under two objects, none of which are used."""

    kept: tuple[PictureFile, ...]
    copies: tuple[tuple[PictureFile, PictureFile], ...]
    faults: Mapping[PictureFile, str]


def look_at_pictures(pictures: Sequence[PictureFile], *, workers: int, time_limit_s: float) -> Looked:
    """Decode every picture once, in processes that can be killed."""
    found: dict[PictureFile, Look] = {}
    faults: dict[PictureFile, str] = {}
    with Progress("pictures", len(pictures)) as progress:
        for outcome in run_in_workers(look_at, pictures, workers=workers, time_limit_s=time_limit_s):
            picture = outcome.item
            if outcome.value is not None:
                found[picture] = outcome.value
            elif isinstance(outcome.error, KitError):
                faults[picture] = str(outcome.error).removeprefix(f"{picture.path}: ")
            elif outcome.error:
                raise outcome.error
            progress.advance()
    return Looked(found, faults)


def look_at(picture: PictureFile) -> Look:
    """Inspect one picture. Runs in a worker.

    Raises:
        DataError: if it can't be read, or is too small to show anything.
    """
    photo = read_picture(picture)
    height, width, _ = photo.picture.shape
    if min(width, height) < LEAST_SIDE_PX:
        raise DataError(f"{width} x {height} pixels, expected {LEAST_SIDE_PX} or more on each side.")
    digest = hashlib.blake2b(f"{width} {height} ".encode(), digest_size=16)
    digest.update(photo.picture.tobytes())
    return Look(digest.hexdigest(), width, height, photo.is_first_of_several, thumbnail(photo.picture))


def read_picture(picture: PictureFile) -> Photo:
    """Read a picture, whether it is a separate file or part of a larger one.

    Raises:
        DataError: if it can't be read.
    """
    if picture.pixels is None:
        return read_photo(picture.path)
    return Photo(picture.pixels.read(picture.path), "raw", is_first_of_several=False)


def distinct(pictures: Sequence[PictureFile], looks: Mapping[PictureFile, Look]) -> Distinct:
    """Use each picture once.

    If several pictures of one object of one user are identical, pixel for pixel, the first is used: a clean one before
    a clutter one, and one of `train` before one of `test`. A picture under two objects would teach that they are the
    same.
    """
    same: dict[str, list[PictureFile]] = defaultdict(list)
    for picture in pictures:
        if picture in looks:
            same[looks[picture].pixels].append(picture)
    faults: dict[PictureFile, str] = {}
    copies: list[tuple[PictureFile, PictureFile]] = []
    for first, *others in same.values():
        if {picture.thing for picture in others} - {first.thing}:
            faults |= {picture: _fault(picture, [first, *others]) for picture in (first, *others)}
        else:
            copies += [(picture, first) for picture in others]
    left_out = {*faults, *(copy for copy, _ in copies)}
    return Distinct(tuple(p for p in pictures if p in looks and p not in left_out), tuple(copies), faults)


def _fault(picture: PictureFile, same: Sequence[PictureFile]) -> str:
    other = next(candidate for candidate in same if candidate.thing != picture.thing)
    return f"the same picture as {other.relative}, which is of another object; remove it where it does not belong."
