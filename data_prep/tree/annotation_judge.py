"""Checks annotation files, in one place, so that all readers apply the same rules and report in the same words.

ORBIT's form: one entry for each frame of the video, with the frame's file name as its key. In an entry,

- a key that ends in `_issue` is true, false or null (null means not judged, which is not false);
- `object_bounding_box` is null or {x, y, w, h} in pixels of a 1080 x 1080 picture: x, y from 0 to 1079 and w, h from 1
  to 1080, as in ORBIT's readme, each with one pixel of tolerance for rounding, and partly inside the picture. These
  ranges let a box extend beyond the right and the lower edge; it is cut off there (`scale_boxes`), not rejected.

Whether a box agrees with `object_not_present_issue` is not checked, and other keys are ignored.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from data_prep.tree.annotations import BOX, FrameAnnotations
from data_prep.tree.layout import frame_file_name, parse_frame_file_name
from groundwork.errors import DataError
from groundwork.strict_json import DoubledObject, keep_doubled, parse_json

ANNOTATED_SIZE_PX = 1080  # of the square frames that ORBIT's boxes were drawn on
BOX_SIDES = ("x", "y", "w", "h")
SLACK_PX = 1.0  # tolerance for rounded sides
_BOX_FORM = "expected null, or x, y from 0 to 1079 and w, h from 1 to 1080, in px of a 1080-px picture"


def read_annotations(path: Path, frames: Collection[int] | None = None) -> FrameAnnotations:
    """Read one video's annotations, by frame number.

    Args:
        path: `VIDEO.json`.
        frames: the numbers of the video's frames, if known; then exactly these must have entries.

    Returns:
        {frame number: {issue name: True | False | None, "object_bounding_box": {x, y, w, h} in 1080-px pixels | None}},
        in the order of the frames. Clean videos have the seven issues, clutter videos NOT_PRESENT and the box.

    Raises:
        DataError: if the file is missing or malformed: names the first fault and how many more there are.
    """
    try:
        found, faults = judge_annotations(path, frames)
    except FileNotFoundError:
        raise DataError(f"{path}: no annotations for this video; expected the file ORBIT publishes for it") from None
    if faults:
        more = f" (and {len(faults) - 1} more; 'orbit-lite prep verify' lists all)" if len(faults) > 1 else ""
        raise DataError(f"{path}: {faults[0]}{more}")
    return found


def judge_annotations(path: Path, frames: Collection[int] | None = None) -> tuple[FrameAnnotations, list[str]]:
    """The entries of one file, and all its faults, each a line that names frame and key.

    Arguments as for `read_annotations`. Entries of unknown frames are left out; faulty entries are kept.

    Raises:
        OSError: if the file can't be read.
    """
    try:
        content = parse_json(path.read_bytes(), pairs=keep_doubled)
    except ValueError as error:
        return {}, [f"not JSON ({error}); get the file again"]
    if not isinstance(content, dict):
        return {}, [f"expected one entry per frame, got {type(content).__name__}"]
    found: FrameAnnotations = {}
    faults = [f"{_named(name)}: there is a second entry with this name" for name in _doubled(content)]
    for name, entry in content.items():
        number = _frame_number(path.stem, name)
        if not number or (frames is not None and number not in frames):
            faults.append(f"{_named(name)}: no such frame")
            continue
        found[number] = entry if isinstance(entry, dict) else {}
        faults += [f"{name}: {fault}" for fault in _entry_faults(entry)]
    faults += [
        f"{frame_file_name(path.stem, number)}: frame without an entry"
        for number in (sorted(set(frames) - found.keys()) if frames is not None else ())
    ]
    return dict(sorted(found.items())), faults


def _frame_number(video: str, name: str) -> int:
    """A frame's number from its name, 0 if the name is not that of a frame of this video."""
    try:
        of_video, number = parse_frame_file_name(name)
    except ValueError:
        return 0
    return number if of_video == video and frame_file_name(video, number) == name else 0


def _entry_faults(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"expected an object with annotations, got {_quoted(entry)}"
        return
    for key in _doubled(entry):
        yield f"{_named(key)} appears twice"
    for key, value in entry.items():
        if key == BOX:
            yield from _box_faults(value)
        elif key.endswith("_issue") and value is not None and not isinstance(value, bool):
            yield f"{_named(key)} is {_quoted(value)}; expected true, false or null"


def _box_faults(box: Any) -> Iterator[str]:
    if box is None:
        return
    for key in _doubled(box):
        yield f"{BOX}: {_named(key)} appears twice"
    sides: list[Any] = [box.get(side) for side in BOX_SIDES] if isinstance(box, dict) else [None]
    if not all(type(side) in (int, float) and side == side for side in sides):  # neither bool nor NaN is a number here
        yield f"{BOX} is {_quoted(box)}; {_BOX_FORM}"
    elif not all(map(_inside, sides[:2], sides[2:])):
        yield f"{BOX} is {_quoted(box)}: not in the picture; {_BOX_FORM}"


def _inside(near: float, size: float) -> bool:
    """Whether a box's extent in one direction is in the published ranges, and partly inside the picture."""
    return -SLACK_PX <= near < ANNOTATED_SIZE_PX and 0 < size <= ANNOTATED_SIZE_PX + SLACK_PX and near + size > 0


def _doubled(value: Any) -> list[str]:
    return value.doubled() if isinstance(value, DoubledObject) else []


def _named(name: str) -> str:
    """A name from a file on one line, shortened."""
    return _short(name) if name.isprintable() else _quoted(name)


def _quoted(value: Any) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."
