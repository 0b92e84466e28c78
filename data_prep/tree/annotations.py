"""Per-frame annotations as ORBIT publishes them, and filters that select frames by annotation.

A value is true, false or null. Null is not false: if an issue was not judged, the frame counts neither as one with the
issue nor as one without it. An issue is null if the object is not in the picture, and in clutter videos, for which only
presence and box are annotated.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from groundwork.errors import UsageError

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
Condition = tuple[str, bool]  # an issue, and the value that its annotation must have; null never matches

# Every filter by name: all its conditions must hold.
FILTERS: Mapping[str, tuple[Condition, ...]] = {
    "object_present": ((NOT_PRESENT, False),),
    "no_issues": tuple((issue, False) for issue in ISSUES),
    **{issue: ((issue, True),) for issue in ISSUES},
    **{f"no_{issue}": ((issue, False),) for issue in ISSUES},
}
How = Literal["all_of", "any_of"]


@dataclass(frozen=True)
class FrameFilter:
    """Keeps a frame if all of the named filters keep it, or if any of them does. Made by `all_of` and `any_of`."""

    how: How
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.how}({', '.join(self.names)})"


def all_of(*names: str) -> FrameFilter:
    """Frames that all named filters keep; without a name, all frames.

    The names are the keys of `FILTERS`: an issue ("blur_issue": annotated as true), its negation ("no_blur_issue":
    annotated as false), "object_present", and "no_issues" (all seven annotated as false, so no frame of a clutter
    video).

    Raises:
        UsageError: for an unknown name.
    """
    return _filter("all_of", names)


def any_of(*names: str) -> FrameFilter:
    """Frames that at least one named filter keeps.

    Raises:
        UsageError: for an unknown name, or without names.
    """
    return _filter("any_of", names)


def parse_filter(form: object) -> FrameFilter:
    """A filter from its plain form: {"all_of": [names]} or {"any_of": [names]}, or text, "all_of(name, name)".

    Raises:
        UsageError: if it does not have such a form, or names an unknown filter.
    """
    if isinstance(form, str) and (match := re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", form)):
        names = [name.strip() for name in match[2].split(",")]
        form = {match[1]: names if names != [""] else []}
    if isinstance(form, Mapping) and len(form) == 1:
        ((how, names),) = form.items()
        if how in get_args(How) and isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return _filter(how, names)
    raise UsageError(
        f"{form!r}: not a filter of frames; expected all_of or any_of with names, such as"
        ' {"all_of": ["object_present", "no_blur_issue"]}, or "all_of(object_present, no_blur_issue)".'
    )


def select_frames(annotations: FrameAnnotations, frame_filter: FrameFilter) -> list[int]:
    """Numbers of the frames that a filter keeps, in order."""
    combine = all if frame_filter.how == "all_of" else any
    named = [FILTERS[name] for name in frame_filter.names]
    return [
        number
        for number, entry in annotations.items()
        if combine(all(entry.get(issue) is wanted for issue, wanted in conditions) for conditions in named)
    ]


def require_issues(names: Iterable[str]) -> None:
    """Raise UsageError, with the nearest known issues, unless all of these are issues."""
    _refuse_unknown("issue", names, ISSUES)


def _filter(how: How, names: Sequence[str]) -> FrameFilter:
    if how == "any_of" and not names:
        raise UsageError(f"any_of without names keeps no frame; name at least one of: {', '.join(FILTERS)}")
    _refuse_unknown("filter of frames", names, FILTERS)
    return FrameFilter(how, tuple(names))


def _refuse_unknown(what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=len(known), cutoff=0)
            raise UsageError(f"unknown {what} {name!r}; known, nearest first: {', '.join(near)}")
