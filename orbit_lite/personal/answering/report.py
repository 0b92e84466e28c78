"""Answers for videos and streams as text for people, and as JSON that also describes the recognizer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from groundwork.files import file_sha256, write_json
from groundwork.pages.cells import printable
from groundwork.strict_json import parse_json
from orbit_lite.personal.answering.answers import FrameAnswer, VideoAnswer
from orbit_lite.personal.answering.summary import AnswersSummary
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.runs.folder import versions

FORMAT = 2
_KEYS, _SUMMARY = ("format", "model", "versions", "settings", "videos", "failed"), "summary"  # in the JSON's order
_LISTS = ("videos", "failed")


def answer_text(name: str, answer: VideoAnswer) -> str:
    """A video's answer, in two lines; a photo's in one."""
    first = "answered" if answer.kind is Certainty.NONE else "recognized"
    sure = "" if answer.confidence is None else f", with a mean confidence of {answer.confidence:.2f}"
    if answer.frames == 1:  # a photo
        return f"{printable(name)}: {printable(answer.text)}" + (sure and f", confidence {answer.confidence:.2f}")
    return (
        f"{printable(name)}: {printable(answer.text)}\n"
        f"  first {first} at {answer.first_s:.1f} s (frame {answer.first_frame}); "
        f"in {100 * answer.share:.0f} % of {answer.frames} frames{sure}"
    )


def frame_text(answer: FrameAnswer) -> str:
    """A frame's answer, in one line."""
    sure = f", confidence {answer.confidence:.2f}" if answer.known else ""
    return f"{answer.time_s:.1f} s: {answer.text}{sure}"


def describe_model(path: Path, personal: PersonalRecognizer) -> dict[str, Any]:
    """What identifies a personal recognizer."""
    return {
        "file": path.name,
        "sha256": file_sha256(path),
        "user": personal.user,
        "objects": list(personal.objects),
        "calibration": asdict(personal.calibration),
        "origin": dict(personal.origin),
    }


def write_answers(
    path: Path,
    found: Sequence[tuple[str, VideoAnswer]],
    failed: Sequence[tuple[str, str]] = (),
    *,
    model: Mapping[str, Any],
    settings: Mapping[str, Any],
    summary: AnswersSummary | None = None,
) -> None:
    """Write the answers as JSON, complete or not at all.

    Args:
        path: the file to write.
        found: each video's name and answer.
        failed: the name of each video that could not be read, and the reason.
        model: see `describe_model`.
        settings: how the videos were looked at.
        summary: of all videos; None for a stream.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "model": dict(model),
        "versions": versions(),
        "settings": dict(settings),
        "videos": [{"video": name, "answer": answer.text, **asdict(answer)} for name, answer in found],
        "failed": [{"video": name, "reason": reason} for name, reason in failed],
    }
    if summary:
        content[_SUMMARY] = asdict(summary)
    write_json(path, content)


def read_answers(path: Path) -> dict[str, Any] | None:
    """The content of a file that `write_answers` wrote; None for any other file."""
    try:
        content = parse_json(path.read_bytes())
        if not isinstance(content, dict) or tuple(content) not in (_KEYS, (*_KEYS, _SUMMARY)):
            return None
        names = videos_in(content)
        _answers(content)
        recognizer_user(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return content if all(isinstance(name, str) for name in names) else None


def recognizer_user(content: Mapping[str, Any]) -> str:
    """The user whose recognizer gave the answers in a file; "" if unknown."""
    user = content["model"].get("user", "")
    return user if isinstance(user, str) else ""


def videos_in(content: Mapping[str, Any]) -> list[str]:
    """The names of all videos in a file of answers, including those that could not be read."""
    return [entry["video"] for key in _LISTS for entry in content[key]]


def without_videos(content: Mapping[str, Any], is_theirs: Callable[[str], bool]) -> dict[str, Any]:
    """The content of a file without some videos, as if they had never been given."""
    left = {key: [entry for entry in content[key] if not is_theirs(entry["video"])] for key in _LISTS}
    kept = {**content, **left}
    if _SUMMARY in content:
        kept[_SUMMARY] = asdict(AnswersSummary.of(_answers(kept), failed=len(kept["failed"])))
    return kept


def _answers(content: Mapping[str, Any]) -> list[tuple[str, VideoAnswer]]:
    names = [field.name for field in fields(VideoAnswer)]
    return [
        (entry["video"], VideoAnswer(**{**{name: entry[name] for name in names}, "kind": Certainty(entry["kind"])}))
        for entry in content["videos"]
    ]
