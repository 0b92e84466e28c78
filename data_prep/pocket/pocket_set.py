"""Pocket ORBIT: a small synthetic ORBIT, with raw videos of drawn objects and true annotations, from a seed.

    OUT/{train,validation,test}/USER/OBJECT/{clean,clutter}/USER--OBJECT--TYPE--ID.mp4
    OUT/annotations/{train,validation,test}/USER--OBJECT--TYPE--ID.json

The same seed gives the same bytes of every frame: every draw is keyed by its video, so a video depends neither on the
number of other videos nor on the number of worker processes. (Its distractors are its user's other objects, so it does
depend on the number of objects per user.)
"""

import base64
import json
from collections.abc import Iterator, Sequence
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
from groundwork.lock import LOCK_NAME, only_run
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json
from groundwork.words import counted

SETTINGS_NAME = "pocket.json"
VERSION = 1  # increased when the same seed gives different frames
TIME_LIMIT_S = 300.0  # for one video, which takes a tenth of a second; more means that it hangs
_MOST_USERS = 999  # per split: the numbers available for users' names
_ID_BYTES = 15  # 20 characters, the length of ORBIT's ids
# ultrafast: fast to encode and to decode, but the files are a third larger
_ENCODER = {"preset": "ultrafast", "crf": "26", "threads": "1", "x264-params": "threads=1:lookahead-threads=1"}


@dataclass(frozen=True)
class PocketSettings:
    """Everything that the set's bytes depend on. `users`: the number of train, validation and test users."""

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
        """The path of the video."""
        return root / self.split / self.user / self.object / self.video_type / f"{self.video}.mp4"

    def annotations(self, root: Path) -> Path:
        """The path of its annotations. They are written last, so if they exist, the video is whole."""
        return annotation_path(root, self.split, self.video)


@dataclass(frozen=True)
class PocketSummary:
    """The set under `root`. `made`: the number of videos made by this call; the others existed already."""

    root: Path
    settings: PocketSettings
    videos: int
    made: int

    def __str__(self) -> str:
        train, validation, test = self.settings.users
        what = f"{train} train, {validation} validation and {test} test users, {self.settings.objects} objects each"
        existing = f" ({self.videos - self.made} of them existed already)" if self.made < self.videos else ""
        return f"{self.root}: {what}, {counted(self.videos, 'video')}{existing}"


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
    """Draw and encode a pocket ORBIT, or resume an interrupted one with the same settings.

    Args:
        out: folder to make: new, empty, or a pocket set with the same settings.
        users: number of train, validation and test users, each 0 or more, not all 0.
        objects: objects per user, 2 to MOST_OBJECTS.
        clean_videos: clean videos per object, 1 or more.
        clutter_videos: clutter videos per object, 0 or more.
        seed: the same seed gives the same frames.
        workers: processes, 1 or more; None for one per core.

    Raises:
        UsageError: for numbers outside these ranges, if `out` holds anything else, or if another process is working
            there.
        DataError: if a worker dies, for example for lack of memory; finished videos stay, so call again.
    """
    settings = PocketSettings(users, objects, clean_videos, clutter_videos, seed)
    _check(settings, workers)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a file; a pocket set needs a separate folder, name another")
    videos = list(plan_videos(settings))
    with only_run(out):
        whole = _claim(out, settings)
        todo = [video for video in videos if not (video.annotations(out).is_file() and video.path(out).is_file())]
        if todo:
            _make_videos(out, settings, todo, already=len(videos) - len(todo), workers=workers or default_workers())
        if todo or not whole:
            write_json(out / SETTINGS_NAME, {"settings": asdict(settings), "whole": True})
    return PocketSummary(out, settings, len(videos), len(todo))


def plan_videos(settings: PocketSettings) -> Iterator[PocketVideo]:
    """All videos of a set, user by user: names and places, without pixels."""
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
    """The frames of one video, before encoding."""
    rng = keyed_rng(settings.seed, "pocket", video.user, video.object_number, video.video_type, video.number)
    sprites = [draw_sprite(look) for look in user_looks(settings.seed, video.user, settings.objects)]
    thing = sprites.pop(video.object_number)
    return clean_video(rng, thing) if video.video_type == "clean" else clutter_video(rng, thing, sprites)


def _make_videos(
    out: Path, settings: PocketSettings, todo: Sequence[PocketVideo], *, already: int, workers: int
) -> None:
    with Progress("pocket videos", already + len(todo)) as progress:
        progress.skip(already)
        for outcome in run_in_workers(
            partial(_make_video, out, settings), todo, workers=workers, time_limit_s=TIME_LIMIT_S
        ):
            if outcome.error:
                raise outcome.error
            progress.advance()


def _make_video(root: Path, settings: PocketSettings, video: PocketVideo) -> None:
    annotations: dict[str, Any] = {}

    def frames() -> Iterator[SceneFrame]:
        for number, frame in enumerate(draw_video(video, settings), start=1):
            annotations[frame_file_name(video.video, number)] = frame.annotation
            yield frame

    _encode(video.path(root), frames())
    write_json(video.annotations(root), annotations)


def _encode(path: Path, frames: Iterator[SceneFrame]) -> None:
    # bitexact and one thread: the file has no date and no version, and does not vary
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
    """An id like those of ORBIT: base64url; one in twelve begins with a dash, one in twelve has two in a row."""
    rng = keyed_rng(seed, "pocket", "id", *keys)
    plain = base64.urlsafe_b64encode(rng.bytes(_ID_BYTES)).decode().lstrip("-")
    kind, place = int(rng.integers(12)), int(rng.integers(4, 10))
    return {0: f"-{plain[1:]}", 1: f"{plain[:place]}--{plain[place + 2 :]}"}.get(kind, plain)


def _check(settings: PocketSettings, workers: int | None) -> None:
    users = settings.users
    if not (len(users) == len(SPLITS) and all(0 <= count <= _MOST_USERS for count in users) and any(users)):
        raise UsageError(
            f"users {users}: expected the numbers of {', '.join(SPLITS)} users, each 0 to {_MOST_USERS}, not all 0"
        )
    if not 2 <= settings.objects <= MOST_OBJECTS:
        raise UsageError(f"{settings.objects} objects per user: expected 2 to {MOST_OBJECTS}")
    if settings.clean_videos < 1 or settings.clutter_videos < 0:
        raise UsageError(
            f"{settings.clean_videos} clean and {settings.clutter_videos} clutter videos per object: "
            "expected 1 or more clean ones, 0 or more clutter ones"
        )
    if settings.seed < 0:
        raise UsageError(f"seed {settings.seed}: expected 0 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers: expected 1 or more")


def _claim(out: Path, settings: PocketSettings) -> bool:
    """Prepare `out` for this set; True if the set is already whole. Raises UsageError if it holds anything else."""
    path = out / SETTINGS_NAME
    wanted: dict[str, Any] = parse_json(json.dumps(asdict(settings)))
    if path.is_file():
        found, whole = _read_settings(path)
        if found != wanted:
            other = ", ".join(f"{key} {found.get(key)}" for key in wanted if found.get(key) != wanted[key])
            raise UsageError(f"{out}: holds a pocket set with other settings ({other}); name another folder")
        return whole
    if any(entry.name != LOCK_NAME and not is_part(entry.name) for entry in out.iterdir()):
        raise UsageError(f"{out}: holds other files; a pocket set needs a new or empty folder")
    write_json(path, {"settings": wanted, "whole": False})
    return False


def _read_settings(path: Path) -> tuple[dict[str, Any], bool]:
    try:
        content = parse_json(path.read_bytes(), finite=True)
        return dict(content["settings"]), content["whole"] is True
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: not the settings of a pocket set; name another folder") from None
