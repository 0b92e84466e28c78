"""Compares frames with the raw videos they were made from: the number of frames, and the length of each video.

Some containers and codecs don't show that something is missing (see docs/data-preparation.md, Damage). A count that
differs from that of a newer reader, or pictures that end long before the stated duration, reveals it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_prep.making.verify import TIME_LIMIT_S, Fault
from data_prep.tree.index import open_index
from data_prep.tree.layout import MANIFEST_NAME
from data_prep.tree.listing import Found, scan_tree
from data_prep.video import DEFAULT_FPS, VideoInfo, count_frames, probe
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import UsageError
from groundwork.progress import Progress
from groundwork.strict_json import parse_json
from groundwork.words import counted

LEAST_GAP_S, LEAST_GAP_SHARE = 1.0, 0.1  # sound may end a little after the pictures: a smaller gap is not a fault


@dataclass(frozen=True)
class _Key:
    split: str
    user: str
    object: str
    video_type: str
    video: str


def against_raw(root: Path, raw: Path, *, time_limit_s: float = TIME_LIMIT_S) -> list[Fault]:
    """Compare a tree of frames with its raw videos; gives the faults of both, sorted by path.

    Args:
        root: frames, loose or packed, made by `extract`.
        raw: the raw tree.
        time_limit_s: seconds after which a raw video counts as unreadable.

    Raises:
        UsageError: if there is no such tree, or RAW has no raw videos.
        DataError: if a tree is malformed.
    """
    kind, found = scan_tree(raw)
    if kind != "raw":
        raise UsageError(f"{raw}: holds {kind}, expected raw videos such as USER/OBJECT/FILE.mp4.")
    fps = _rate(root)
    rows = {_Key(r.split, r.user, r.object, r.video_type, r.video): r for r in open_index(root).rows}
    faults: list[Fault] = []
    outcomes = run_in_workers(_look, found, workers=default_workers(), time_limit_s=time_limit_s)
    with Progress("videos", len(found)) as progress:
        for outcome in outcomes:
            video = outcome.item
            place = video.path.relative_to(raw).as_posix()
            row = rows.pop(_Key(video.split, video.user, video.object, video.video_type, video.video), None)
            if outcome.value is None:
                faults.append(Fault(place, "unreadable", str(outcome.error).removeprefix(str(video.path)).lstrip(": ")))
            else:
                faults += _differences(place, outcome.value, None if row is None else row.frames, fps)
            progress.advance()
    faults += [Fault(row.path, "extra", f"no such video in {raw}") for row in rows.values()]
    return sorted(faults, key=lambda fault: (fault.path, fault.kind, fault.detail))


def _look(video: Found) -> VideoInfo:
    return probe(video.path)


def _differences(place: str, info: VideoInfo, frames: int | None, fps: float) -> Iterator[Fault]:
    expected = count_frames(info, fps)
    if frames is None:
        yield Fault(place, "missing", f"the raw video gives {counted(expected, 'frame')}, the tree has none of them")
    elif frames != expected:
        kind = "missing" if frames < expected else "extra"
        yield Fault(place, kind, f"{counted(frames, 'frame')}, but its raw video gives {expected}")
    length_s = info.times_s[-1] + info.last_duration_s
    if info.stated_s - length_s > max(LEAST_GAP_S, LEAST_GAP_SHARE * info.stated_s):
        yield Fault(
            place,
            "duration",
            f"its pictures end after {length_s:.1f} s, but the file states {info.stated_s:.1f} s. Look for another"
            " copy.",
        )


def _rate(root: Path) -> float:
    """The frame rate in the tree's manifest."""
    try:
        fps = float(parse_json((root / MANIFEST_NAME).read_bytes(), finite=True)["made_by"]["fps"])
        return fps if 0 < fps <= 1000 else DEFAULT_FPS
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_FPS
