"""Reads and checks one user's folder of videos: the frames that teach each object, and what could not be used."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from data_prep.quality.estimate import VideoQuality
from data_prep.tree.own_videos import OwnFolder, scan_own
from groundwork.errors import DataError
from groundwork.progress import Progress
from groundwork.words import listed
from orbit_lite.data.loader import to_images
from orbit_lite.models.engines.choosing import choose_engine
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.sampling import SampledVideo, Sampling, Unreadable, sample_videos

FRAMES_PER_VIDEO = 10  # approximately, for 10 seconds
HELD_OUT_STATES = 10  # approximate number of times an adaptive learner adapts its extractor to calibrate and check


@dataclass(frozen=True, eq=False)
class UserVideos:
    """One user's videos for teaching, after reading.

    videos: sorted by object and path. tensors: each video's features, float32 (frames, width), on the CPU; or, if the
    learner adapts its extractor and must see all frames together, its images, uint8 (frames, 3, s, s). quality: how
    each video was filmed. notes: what was left out and why, one line each. clutter_videos: number of unused ones.
    """

    user: str
    videos: tuple[TaughtVideo, ...]
    tensors: tuple[Tensor, ...]
    quality: tuple[VideoQuality, ...]
    notes: tuple[str, ...]
    clutter_videos: int

    @property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects."""
        return tuple(sorted({video.object for video in self.videos}))


def read_user_videos(
    recognizer: Recognizer,
    path: Path,
    *,
    workers: int | None = None,
    engine: str | None = None,
    quiet: bool = False,
) -> UserVideos:
    """Read a user's videos, and embed the sampled frames of each while the next ones are being decoded.

    Args:
        recognizer: embeds the frames, unless it adapts its extractor.
        path: the user's folder or archive, see `scan_own`.
        workers: processes that decode; the default is one per core.
        engine: the engine that embeds, see `choose_engine`.

    Raises:
        UsageError: if there is no such folder.
        DataError: if it holds something other than objects' videos, an object has no readable video, or two objects
            share a video.
    """
    folder = scan_own(path)
    sampling = Sampling.of_protocol(recognizer.extractor.frame_size_px)
    embeds = recognizer.shares_features
    choose_engine(recognizer, engine, frames=FRAMES_PER_VIDEO * len(folder.videos), states=HELD_OUT_STATES)
    read: dict[str, tuple[SampledVideo, Tensor]] = {}
    failed: list[Unreadable] = []
    with Progress("videos", len(folder.videos), quiet=quiet) as progress:
        for found in sample_videos(folder.videos, sampling, workers=workers):
            if isinstance(found, Unreadable):
                failed.append(found)
            else:
                images = to_images(found.pictures, 1)
                read[found.video.place] = (found, recognizer.embed(images).cpu() if embeds else images)
            progress.advance(note=found.video.object)
    _require_readable(folder, failed)
    ordered = [read[video.place] for video in folder.videos if video.place in read]
    kept, twice = _distinct(ordered)
    notes = [f"left out, can't be read: {fault.reason}" for fault in sorted(failed, key=lambda f: f.video.place)]
    return UserVideos(
        user=folder.user,
        videos=tuple(_taught(sampled) for sampled, _ in kept),
        tensors=tuple(tensor for _, tensor in kept),
        quality=tuple(sampled.quality for sampled, _ in kept),
        notes=(*notes, *twice),
        clutter_videos=folder.clutter_videos,
    )


def _taught(sampled: SampledVideo) -> TaughtVideo:
    return TaughtVideo(sampled.video.object, sampled.length, sampled.frames, sampled.digest, sampled.quality.issues)


def _require_readable(folder: OwnFolder, failed: Sequence[Unreadable]) -> None:
    unreadable = {fault.video for fault in failed}
    for name in folder.objects:
        of_object = [video for video in folder.videos if video.object == name]
        if unreadable.issuperset(of_object):
            first = next(fault for fault in failed if fault.video.object == name)
            raise DataError(
                f"{folder.path}: object {name!r} has no readable video ({len(of_object)} can't be read: "
                f"{first.reason}); film it again, or remove its folder"
            )


def _distinct(
    videos: Sequence[tuple[SampledVideo, Tensor]],
) -> tuple[list[tuple[SampledVideo, Tensor]], list[str]]:
    """Drop repeated videos. The same video under two objects is an error: it would teach that they are the same."""
    by_digest: dict[str, list[SampledVideo]] = defaultdict(list)
    for sampled, _ in videos:
        by_digest[sampled.digest].append(sampled)
    notes = []
    for same in by_digest.values():
        names = sorted({sampled.video.object for sampled in same})
        places = listed([str(sampled.video.path) for sampled in same])
        if len(names) > 1:
            raise DataError(
                f"objects {' and '.join(map(repr, names))} have the same video: {places}; "
                "remove it from the folder where it does not belong"
            )
        if len(same) > 1:
            notes.append(f"the same video was found {len(same)} times and was used once: {places}")
    firsts = {id(same[0]) for same in by_digest.values()}
    return [pair for pair in videos if id(pair[0]) in firsts], notes


def all_images(user_videos: UserVideos) -> Tensor:
    """All images, if they were read for a learner that adapts its extractor, uint8 (n, 3, s, s)."""
    return torch.cat(user_videos.tensors)
