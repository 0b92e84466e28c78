"""Class folders of drawn photos: the pocket set's things, each photo from a scene of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data_prep.pocket.pocket_set import PocketSettings, PocketVideo, draw_video, plan_videos
from data_prep.pocket.scenes import SceneFrame
from data_prep.tree.annotations import NOT_PRESENT
from data_prep.tree.layout import VIDEO_TYPES
from data_prep.video import encode_jpeg
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.files import whole_folder, write_bytes
from groundwork.progress import Progress

TIME_LIMIT_S = 600.0  # for one class, which takes a second


@dataclass(frozen=True)
class Things:
    """How much to draw.

    sets: of train, validation and test. The classes of a set share three colors, so that a mean color does not tell
    them apart. classes: of each set. images: of each class, even: one half before a plain surface, the other in
    clutter.
    """

    sets: tuple[int, int, int]
    classes: int
    images: int
    seed: int = 0

    @property
    def pocket(self) -> PocketSettings:
        """The pocket set that has a video for each photo."""
        half = self.images // len(VIDEO_TYPES)
        return PocketSettings(self.sets, self.classes, half, half, self.seed)


def draw_photos(out: Path, things: Things) -> None:
    """Draw OUT/{train,validation,test}/SET/CLASS/*.jpg; class folders that are there are kept.

    A photo is the first frame of a video of the pocket set that has the thing in it; no two are of one video.

    Raises:
        DataError: if a worker dies.
    """
    videos: dict[Path, list[PocketVideo]] = {}
    for video in plan_videos(things.pocket):
        videos.setdefault(out / video.split / video.user / video.object, []).append(video)
    missing = [(folder, own) for folder, own in videos.items() if not folder.is_dir()]
    draw = partial(_draw_class, things.pocket)
    with Progress("classes drawn", len(videos)) as progress:
        progress.skip(len(videos) - len(missing))
        for outcome in run_in_workers(draw, missing, workers=default_workers(), time_limit_s=TIME_LIMIT_S):
            if outcome.error:
                raise outcome.error
            progress.advance()


def _draw_class(settings: PocketSettings, job: tuple[Path, list[PocketVideo]]) -> None:
    folder, videos = job
    with whole_folder(folder) as part:
        for video in videos:
            frame = _first_with_the_thing(draw_video(video, settings))
            name = f"{video.video_type}-{video.number + 1:02d}.jpg"
            write_bytes(part / name, encode_jpeg(frame.picture[..., ::-1]))


def _first_with_the_thing(frames: Iterator[SceneFrame]) -> SceneFrame:
    return next(frame for frame in frames if not frame.annotation[NOT_PRESENT])
