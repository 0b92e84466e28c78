"""Per-frame annotations as ORBIT publishes them, and which frames are free of given issues.

A value is true, false or null. Null is not false: an issue that was not judged (the object is not in the picture) does
not make a frame free of it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.layout import parse_frame_file_name
from groundwork.errors import AskedWrong, FoundWrong

NOT_PRESENT = "object_not_present_issue"
ISSUES = (
    NOT_PRESENT,
    "framing_issue",
    "viewpoint_issue",
    "blur_issue",
    "occlusion_issue",
    "overexposed_issue",
    "underexposed_issue",
)
BOX = "object_bounding_box"

FrameAnnotations = dict[int, dict[str, Any]]


def read_annotations(path: Path) -> FrameAnnotations:
    """One video's annotations, by frame number.

    Returns:
        {frame number: {issue name: True | False | None, "object_bounding_box": {x, y, w, h} in 1080-px pixels | None}},
        in the order of the frames. Clean videos have the seven issues, clutter videos NOT_PRESENT and the box.

    Raises:
        FoundWrong: if the file is missing, is not JSON, or has keys or values that are not of that form.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FoundWrong(f"{path}: no annotations for this video; expected the file ORBIT publishes for it") from None
    except ValueError as error:
        raise FoundWrong(f"{path}: not JSON ({error}); get the file again") from None
    if not isinstance(content, dict):
        raise FoundWrong(f"{path}: expected one entry a frame, got {type(content).__name__}")
    frames: FrameAnnotations = {}
    for name, entry in content.items():
        try:
            video, number = parse_frame_file_name(name)
        except ValueError:
            video, number = "", 0
        if video != path.stem or not isinstance(entry, dict):
            raise FoundWrong(f"{path}: {name!r} is not an entry of a frame of this video")
        for key, value in entry.items():
            if key.endswith("_issue") and value not in (True, False, None):
                raise FoundWrong(f"{path}: {name}: {key} is {value!r}; expected true, false or null")
        frames[number] = entry
    return dict(sorted(frames.items()))


def frames_without(annotations: FrameAnnotations, issues: Sequence[str]) -> list[int]:
    """Numbers of the frames that have none of the issues: every one of them is annotated, and as false.

    Raises:
        AskedWrong: if an issue is not one of the seven.
    """
    unknown = sorted(set(issues) - set(ISSUES))
    if unknown:
        raise AskedWrong(f"unknown issue {unknown[0]!r}; known: {', '.join(ISSUES)}")
    return [number for number, entry in annotations.items() if all(entry.get(issue) is False for issue in issues)]
