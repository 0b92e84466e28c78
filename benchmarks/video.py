"""Reads every video below a folder with the kit and with the ffmpeg command, and compares them picture by picture.

It reports where the two disagree: a video that only the kit refuses, damage that only ffmpeg reports, different
pictures, a different number of pictures, or pictures that are rotated or mirrored. So the reader can be tested on
anyone's files. ffmpeg is only a second opinion: it also misses damage, and reports damage where there is none.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.layout import is_junk
from data_prep.video import Framing, is_video_file, probe, read_pictures
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import DataError, KitError
from groundwork.files import csv_text, write_text
from groundwork.pages.table import Table

SIDE_PX = 64  # both sides scale every picture to this square, so all eight orientations are comparable
CLOSE_GRAY_LEVELS = 0.5  # the largest mean difference of equal pictures, of 255
TIME_LIMIT_S = 900.0  # for one video on each side
_GRAY = np.array([0.299, 0.587, 0.114])  # of R, G, B: ITU-R BT.601
_FRAMING = Framing(SIDE_PX, "squash")

Grays = NDArray[np.float32]  # (pictures, SIDE_PX, SIDE_PX)

# The possible results for a video and their meanings, in the order of the table
VERDICTS = {
    "agrees": "the same pictures",
    "refused by both": "the kit reports a fault, and ffmpeg reports errors",
    "false alarm": "the kit reports a fault, but ffmpeg reads it without an error",
    "miss": "the kit reads it, but ffmpeg reports errors",
    "orientation": "rotated or mirrored differently",
    "count": "a different number of pictures",
    "pictures": f"the same number of pictures, but some differ by more than {CLOSE_GRAY_LEVELS} gray levels",
    "traceback": "an error without a message of the kit's own",
}


@dataclass(frozen=True)
class Judged:
    """One video.

    Attributes:
        video: its path below the folder. verdict: a name in VERDICTS. pictures, expected: how many pictures the kit and
            ffmpeg return. worst: the largest difference between two pictures with the same number, in gray levels; 0.0
            if none were compared. detail: the kit's message, or the first line of ffmpeg's.
    """

    video: str
    verdict: str
    pictures: int
    expected: int
    worst: float
    detail: str


def run(folder: Path, *, workers: int | None = None) -> list[Judged]:
    """Compare every video below a folder, in order of path.

    Raises:
        DataError: if ffmpeg is not installed, or there is no video.
    """
    if shutil.which("ffmpeg") is None:
        raise DataError("ffmpeg: not found, but this benchmark compares with it. Install ffmpeg.")
    paths = sorted(path for path in folder.rglob("*") if _is_video(path))
    if not paths:
        raise DataError(f"{folder}: no video found; expected files such as NAME.mp4, at any depth.")
    judged = []
    compare = partial(judge, folder)
    for outcome in run_in_workers(compare, paths, workers=workers or default_workers(), time_limit_s=2 * TIME_LIMIT_S):
        if outcome.value is None:
            place = outcome.item.relative_to(folder).as_posix()
            judged.append(Judged(place, "traceback", 0, 0, 0.0, str(outcome.error)))
        else:
            judged.append(outcome.value)
    return sorted(judged, key=lambda video: video.video)


def judge(folder: Path, path: Path) -> Judged:
    """Compare one video. Runs in a worker."""
    place = path.relative_to(folder).as_posix()
    fault, ours, deinterlaced = "", np.empty((0, SIDE_PX, SIDE_PX), np.float32), False
    try:
        info = probe(path)
        deinterlaced = info.interlaced
        read = read_pictures(path, info, np.arange(info.pictures), _FRAMING)
        ours = np.stack([_gray(picture) for picture in read])
    except KitError as error:
        fault = str(error)
    except Exception as error:  # unexpected errors are what this benchmark looks for
        return Judged(place, "traceback", 0, 0, 0.0, repr(error))
    theirs, errors = ffmpeg_pictures(path, deinterlace=deinterlaced)
    whole = len(theirs) > 0 and not errors
    if fault:
        return Judged(place, "false alarm" if whole else "refused by both", 0, len(theirs), 0.0, fault)
    compared = min(len(ours), len(theirs))
    away = np.abs(ours[:compared] - theirs[:compared]).mean(axis=(1, 2))
    worst = float(away.max()) if compared else 0.0
    verdict = "agrees"
    if compared and _is_turned(ours[:compared], theirs[:compared]):
        verdict = "orientation"
    elif not whole:
        verdict = "miss"
    elif len(ours) != len(theirs):
        verdict = "count"
    elif worst > CLOSE_GRAY_LEVELS:
        verdict = "pictures"
    return Judged(place, verdict, len(ours), len(theirs), worst, errors.splitlines()[0] if errors else "")


def ffmpeg_pictures(path: Path, *, deinterlace: bool) -> tuple[Grays, str]:
    """All pictures that the ffmpeg command decodes, and its standard error output."""
    filters = ("bwdif=deint=interlaced:mode=send_frame," if deinterlace else "") + (
        f"scale={SIDE_PX}:{SIDE_PX}:flags=bilinear,format=rgb24"
    )
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", f"file:{path}", "-an"]
    command += ["-vsync", "passthrough", "-vf", filters, "-f", "rawvideo", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        return np.empty((0, SIDE_PX, SIDE_PX), np.float32), "ffmpeg did not finish"
    pictures = np.frombuffer(done.stdout, np.uint8)
    whole = len(pictures) // (SIDE_PX * SIDE_PX * 3)
    pictures = pictures[: whole * SIDE_PX * SIDE_PX * 3].reshape(-1, SIDE_PX, SIDE_PX, 3)
    errors = done.stderr.decode(errors="replace").strip()
    return _gray(pictures), errors or ("" if done.returncode == 0 else f"exit status {done.returncode}")


def counts_table(judged: Sequence[Judged]) -> Table:
    """The number of videos with each verdict."""
    counted = Counter(video.verdict for video in judged)
    rows = tuple((verdict, counted[verdict], meaning) for verdict, meaning in VERDICTS.items())
    return Table(f"{len(judged)} videos, the kit compared with ffmpeg", ("verdict", "videos", "meaning"), rows)


def disagreements(judged: Sequence[Judged]) -> Iterator[str]:
    """Yield one line per video on which the two disagree."""
    for video in judged:
        if video.verdict not in ("agrees", "refused by both"):
            yield (
                f"{video.verdict}: {video.video}: {video.pictures} pictures, ffmpeg {video.expected},"
                f" differ by up to {video.worst:.2f}{': ' if video.detail else ''}{video.detail}"
            )


def write_judged(out: Path, judged: Sequence[Judged]) -> Path:
    """Write video.csv, one row per video. It contains the files' names, so store it accordingly."""
    rows = [[v.video, v.verdict, v.pictures, v.expected, f"{v.worst:.4f}", v.detail] for v in judged]
    path = out / "video.csv"
    write_text(path, csv_text(["video", "verdict", "pictures", "expected", "worst", "detail"], rows))
    return path


def _is_video(path: Path) -> bool:
    return not is_junk(path.name) and (is_video_file(path.name) or path.suffix.lower() == ".gif") and path.is_file()


def _gray(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(pictures @ _GRAY, np.float32)


def _is_turned(ours: Grays, theirs: Grays) -> bool:
    """Whether another of the eight orientations of our pictures matches theirs much better."""
    mirrored = (ours, ours[:, :, ::-1])
    turned = [np.rot90(pictures, turns, axes=(1, 2)) for pictures in mirrored for turns in range(4)]
    upright, *others = (float(np.abs(pictures - theirs).mean()) for pictures in turned)
    return upright > 2.0 and min(others) < upright / 2
