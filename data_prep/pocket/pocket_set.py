"""Pocket ORBIT: a small ORBIT made here, raw videos of drawn things with true annotations, seeded.

    OUT/{train,validation,test}/USER/OBJECT/{clean,clutter}/USER--OBJECT--TYPE--ID.mp4
    OUT/annotations/{train,validation,test}/USER--OBJECT--TYPE--ID.json

Same seed, same bytes of every frame: every draw is keyed by the video it is for, so a video depends neither on how many
others are made nor on the number of worker processes. (Its distractors are its user's other things, so it does depend
on the number of objects a user.)
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import av

from data_prep.pocket.drawing import FRAMES_PER_SECOND
from data_prep.pocket.objects import MOST_OBJECTS, draw_sprite, user_looks
from data_prep.pocket.scenes import SceneFrame, clean_video, clutter_video
from data_prep.tree.layout import SPLITS, VIDEO_TYPES, VideoName, annotation_path, frame_file_name, slug
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import UsageError
from groundwork.files import is_part, whole_file, write_json
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json

SETTINGS_NAME = "pocket.json"
VERSION = 1  # goes up when the same seed gives other frames
TIME_LIMIT_S = 300.0  # for one video, which takes a tenth of a second: something hangs
_MOST_USERS = 999  # of a split: the numbers that are free for its users' names
_ID_BYTES = 15  # 20 characters, as long as ORBIT's ids
# ultrafast: quick to make and quick to decode, for files a third larger
_ENCODER = {"preset": "ultrafast", "crf": "26", "threads": "1", "x264-params": "threads=1:lookahead-threads=1"}


@dataclass(frozen=True)
class PocketSettings:
    """All that the set's bytes depend on. `users`: how many of train, validation and test."""

    users: tuple[int, int, int]
    objects: int
    clean_videos: int
    clutter_videos: int
    seed: int
    version: int = VERSION


@dataclass(frozen=True)
class PocketVideo:
    """One video to make. `number` counts a user's videos of one object and type, from 0."""

    split: str
    user: str
    object_number: int
    object: str
    video_type: str
    number: int
    video: str

    def path(self, root: Path) -> Path:
        """Where the video stands."""
        return root / self.split / self.user / self.object / self.video_type / f"{self.video}.mp4"

    def annotations(self, root: Path) -> Path:
        """Where its annotations stand. They are written last: where they are, the video was whole."""
        return annotation_path(root, self.split, self.video)


@dataclass(frozen=True)
class PocketSummary:
    """What stands under `root`. `made`: the videos of this call; the others were there already."""

    root: Path
    settings: PocketSettings
    videos: int
    made: int

    def __str__(self) -> str:
        train, validation, test = self.settings.users
        what = f"{train} train, {validation} validation and {test} test users, {self.settings.objects} objects each"
        there = f" ({self.videos - self.made} of them were there already)" if self.made < self.videos else ""
        return f"{self.root}: {what}, {self.videos} videos{there}"


def make_pocket(
    out: Path,
    *,
    users: tuple[int, int, int] = (24, 3, 4),
    objects: int = 5,
    clean_videos: int = 3,
    clutter_videos: int = 2,
    seed: int = 0,
    workers: int | None = None,
) -> PocketSummary:
    """Draw and encode a pocket ORBIT; go on with one of the same settings that was cut off.

    Args:
        out: folder to make: new, empty, or a pocket set of the very same settings.
        users: how many users of train, validation and test, none or more of each, 1 or more in all.
        objects: objects of each user, 2 to MOST_OBJECTS.
        clean_videos: clean videos of each object, 1 or more.
        clutter_videos: clutter videos of each object, 0 or more.
        seed: same seed, same frames.
        workers: processes, 1 or more; None for one a core.

    Raises:
        UsageError: for numbers outside these ranges, or if `out` holds anything else.
        DataError: if a worker dies, for want of memory for example; what is made stays, call again.
    """
    settings = PocketSettings(users, objects, clean_videos, clutter_videos, seed)
    _check(settings, workers)
    videos = list(plan_videos(settings))
    whole = _claim(out, settings)
    todo = [video for video in videos if not (video.annotations(out).is_file() and video.path(out).is_file())]
    if todo:
        make = partial(_make_video, out, settings)
        with Progress("pocket videos", len(videos)) as progress:
            progress.skip(len(videos) - len(todo))
            for outcome in run_in_workers(make, todo, workers=workers or default_workers(), time_limit_s=TIME_LIMIT_S):
                if outcome.error:
                    raise outcome.error
                progress.advance()
    if todo or not whole:
        write_json(out / SETTINGS_NAME, {"settings": asdict(settings), "whole": True})
    return PocketSummary(out, settings, len(videos), len(todo))


def plan_videos(settings: PocketSettings) -> Iterator[PocketVideo]:
    """Every video of a set, user by user: names and places, no pixels."""
    counts = dict(zip(VIDEO_TYPES, (settings.clean_videos, settings.clutter_videos), strict=True))
    for thousand, (split, users) in enumerate(zip(SPLITS, settings.users, strict=True), start=1):
        for user in (f"P{1000 * thousand + number}" for number in range(1, users + 1)):
            for index, look in enumerate(user_looks(settings.seed, user, settings.objects)):
                for video_type, count in counts.items():
                    for number in range(count):
                        video_id = _video_id(settings.seed, user, index, video_type, number)
                        name = str(VideoName(user, slug(look.name), video_type, video_id))
                        yield PocketVideo(split, user, index, look.name, video_type, number, name)


def draw_video(video: PocketVideo, settings: PocketSettings) -> Iterator[SceneFrame]:
    """The frames of one video, before they are encoded."""
    rng = keyed_rng(settings.seed, "pocket", video.user, video.object_number, video.video_type, video.number)
    sprites = [draw_sprite(look) for look in user_looks(settings.seed, video.user, settings.objects)]
    thing = sprites.pop(video.object_number)
    return clean_video(rng, thing) if video.video_type == "clean" else clutter_video(rng, thing, sprites)


def _make_video(root: Path, settings: PocketSettings, video: PocketVideo) -> None:
    annotations: dict[str, Any] = {}

    def frames() -> Iterator[SceneFrame]:
        for number, frame in enumerate(draw_video(video, settings), start=1):
            annotations[frame_file_name(video.video, number)] = frame.annotation
            yield frame

    _encode(video.path(root), frames())
    write_json(video.annotations(root), annotations)


def _encode(path: Path, frames: Iterator[SceneFrame]) -> None:
    # bitexact and one thread: no date, no version and no chance in the file
    options = {"fflags": "+bitexact"}
    with whole_file(path) as file, av.open(file, "w", format="mp4", container_options=options) as container:
        first = next(frames)
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_ENCODER)
        stream.height, stream.width = first.picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.picture, format="bgr24")))
        container.mux(stream.encode(None))


def _video_id(seed: int, *keys: str | int) -> str:
    """An id as ORBIT's: base64url; one in twelve begins with a dash, one in twelve holds two in a row."""
    rng = keyed_rng(seed, "pocket", "id", *keys)
    plain = base64.urlsafe_b64encode(rng.bytes(_ID_BYTES)).decode().lstrip("-")
    kind, place = int(rng.integers(12)), int(rng.integers(4, 10))
    return {0: f"-{plain[1:]}", 1: f"{plain[:place]}--{plain[place + 2 :]}"}.get(kind, plain)


def _check(settings: PocketSettings, workers: int | None) -> None:
    users = settings.users
    if not (len(users) == len(SPLITS) and all(0 <= count <= _MOST_USERS for count in users) and any(users)):
        raise UsageError(f"users {users}: expected how many of {', '.join(SPLITS)}, each 0 to {_MOST_USERS}, not all 0")
    if not 2 <= settings.objects <= MOST_OBJECTS:
        raise UsageError(f"{settings.objects} objects a user: expected 2 to {MOST_OBJECTS}")
    if settings.clean_videos < 1 or settings.clutter_videos < 0:
        raise UsageError(
            f"{settings.clean_videos} clean and {settings.clutter_videos} clutter videos an object: "
            "expected 1 or more clean ones, 0 or more clutter ones"
        )
    if settings.seed < 0:
        raise UsageError(f"seed {settings.seed}: expected 0 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers: expected 1 or more")


def _claim(out: Path, settings: PocketSettings) -> bool:
    """Make `out` this set's folder; True if the set is there and whole. Raises UsageError if it holds anything else."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a file; a pocket set needs a folder of its own, name another")
    path = out / SETTINGS_NAME
    wanted: dict[str, Any] = parse_json(json.dumps(asdict(settings)))
    if path.is_file():
        there, whole = _read_settings(path)
        if there != wanted:
            other = ", ".join(f"{key} {there.get(key)}" for key in wanted if there.get(key) != wanted[key])
            raise UsageError(f"{out}: holds a pocket set of other settings ({other}); name another folder")
        return whole
    if out.is_dir() and any(not is_part(entry.name) for entry in out.iterdir()):
        raise UsageError(f"{out}: holds other things; a pocket set needs a new or an empty folder")
    write_json(path, {"settings": wanted, "whole": False})
    return False


def _read_settings(path: Path) -> tuple[dict[str, Any], bool]:
    try:
        content = parse_json(path.read_bytes(), finite=True)
        return dict(content["settings"]), content["whole"] is True
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: not the settings of a pocket set; name another folder") from None
