"""check.json: the check's main numbers, for programs and for pages that combine several checks."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from groundwork.errors import DataError
from groundwork.files import write_json
from groundwork.strict_json import parse_json
from groundwork.strict_model import Strict, first_fault
from orbit_lite.personal.checking.check import ObjectCheck, UserCheck

CHECK_JSON = "check.json"
FORMAT = 1


class IntervalNumbers(Strict):
    """A 95 % interval."""

    low: float
    high: float


class ObjectNumbers(Strict):
    """One object's numbers, see ObjectCheck; None if none of its videos could be held out."""

    object: str
    videos: int
    held_out_videos: int
    held_out_frames: int
    accuracy: float | None
    none: float | None
    taken_for: str
    taken_for_share: float | None


class UserNumbers(Strict):
    """One user's numbers: see `Estimate` and, for the operating point in use, `OperatingPoint`. Shares are in [0, 1].

    objects: number of objects. videos, frames: numbers of held-out videos and frames.
    """

    accuracy: float
    interval: IntervalNumbers
    chance: float
    same_place_accuracy: float
    ece: float
    auroc: float | None
    strictness: str
    misses: float | None
    false_alarms: float | None
    objects: int
    videos: int
    frames: int
    per_object: tuple[ObjectNumbers, ...]


class _CheckFile(Strict):
    format: int
    users: dict[str, UserNumbers]


def write_check_json(path: Path, users: Mapping[str, UserNumbers]) -> None:
    """Write `users`, by name, completely or not at all; null stands for what can't be estimated."""
    write_json(path, _CheckFile(format=FORMAT, users=dict(users)).model_dump())


def read_check_json(path: Path) -> dict[str, UserNumbers]:
    """The users of a check.json, by name, with exactly the numbers that were written.

    Raises:
        DataError: if it is not a check.json, or has another format number.
    """
    try:
        found = _CheckFile.model_validate(parse_json(path.read_bytes()))
    except ValidationError as error:
        raise _not_a_check(path, first_fault(error, _CheckFile)) from None
    except ValueError as error:
        raise _not_a_check(path, str(error)) from None
    if found.format != FORMAT:
        raise _not_a_check(path, f"format {found.format}; this release reads format {FORMAT}")
    return found.users


def user_numbers(check: UserCheck) -> UserNumbers:
    """One user's numbers."""
    found, point = check.estimate, check.rejection.point
    return UserNumbers(
        accuracy=found.accuracy,
        interval=IntervalNumbers(low=found.low, high=found.high),
        chance=found.chance,
        same_place_accuracy=found.same_place,
        ece=found.ece,
        auroc=check.rejection.auroc,
        strictness=check.rejection.strictness,
        misses=point.misses,
        false_alarms=point.false_alarms,
        objects=len(check.objects),
        videos=found.videos,
        frames=found.frames,
        per_object=tuple(map(_object_numbers, check.objects)),
    )


def _object_numbers(thing: ObjectCheck) -> ObjectNumbers:
    return ObjectNumbers(
        object=thing.object,
        videos=thing.videos,
        held_out_videos=len(thing.held_out),
        held_out_frames=sum(video.frames for video in thing.held_out),
        accuracy=thing.accuracy,
        none=thing.none,
        taken_for=thing.taken_for,
        taken_for_share=thing.share if thing.held_out else None,
    )


def _not_a_check(path: Path, why: str) -> DataError:
    return DataError(f"{path}: not a file that 'orbit-lite check-user' wrote ({why}); check the user again")
