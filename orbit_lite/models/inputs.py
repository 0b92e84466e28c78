"""What a recognizer is given: checked, with errors that name the value, and cut into chunks."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from groundwork.errors import DataError


class NotFinite(DataError):
    """Features, or what was fitted to them, are NaN or infinite, or about to be."""


class NotSolved(DataError):
    """What has to be solved, a head or the system behind a gradient, is further from it than its setting allows."""


def check_images(images: Tensor, *, frame_size_px: int, what: str = "images") -> None:
    """Refuse all but uint8 (n, 3, s, s), or clips (n, frames, 3, s, s), n >= 1.

    Raises:
        DataError: names what came instead.
    """
    expected = f"expected uint8 (n, 3, {frame_size_px}, {frame_size_px}), or clips (n, frames, 3, ...)"
    if images.dtype != torch.uint8:
        raise DataError(f"{what}: dtype {_name(images.dtype)}; {expected}, as decoded and not normalized")
    shape = tuple(images.shape)
    if len(shape) not in (4, 5) or shape[-3:] != (3, frame_size_px, frame_size_px):
        raise DataError(f"{what}: shape {shape}; {expected}")
    if images.numel() == 0:
        raise DataError(f"{what}: shape {shape}, no image in it; {expected}")


def check_labels(labels: Tensor, *, items: int, what: str = "labels") -> None:
    """Refuse all but int64 (items,), none below 0.

    Raises:
        DataError: names what came instead.
    """
    if labels.dtype != torch.int64:
        raise DataError(f"{what}: dtype {_name(labels.dtype)}; expected int64")
    if tuple(labels.shape) != (items,):
        raise DataError(f"{what}: shape {tuple(labels.shape)}; expected ({items},), a label for each item")
    lowest = int(labels.min())
    if lowest < 0:
        raise DataError(f"{what}: label {lowest} at place {int(labels.argmin())}; expected 0 or more")


def check_support_labels(labels: Tensor, *, items: int, way: int | None = None, what: str = "labels") -> int:
    """As check_labels, and every class of 0..way-1 present. `way` is the highest label + 1 if not given.

    Returns:
        way.

    Raises:
        DataError: names the class without items, or the label too high.
    """
    check_labels(labels, items=items, what=what)
    present = set(labels.tolist())
    way = way or max(present) + 1
    if max(present) >= way:
        raise DataError(f"{what}: label {max(present)} in a task of {way} classes; expected 0..{way - 1}")
    # counted, not listed: one stray label of 10^12 must not build a list of as many names
    if len(present) < way:
        first = next(label for label in range(way) if label not in present)
        raise DataError(
            f"{what}: class {first} has no item ({way - len(present)} of {way} have none); "
            f"expected every class 0..{way - 1}"
        )
    return way


def check_videos(videos: Tensor | None, labels: Tensor, *, what: str = "videos") -> None:
    """Refuse all but None, or int64 of the labels' shape where every video is of one class.

    Raises:
        DataError: names what came instead, or the video with two classes.
    """
    if videos is None:
        return
    if videos.dtype != torch.int64:
        raise DataError(f"{what}: dtype {_name(videos.dtype)}; expected int64")
    if videos.shape != labels.shape:
        raise DataError(f"{what}: shape {tuple(videos.shape)}; expected {tuple(labels.shape)}, a video for each item")
    pairs = sorted(set(zip(videos.tolist(), labels.tolist(), strict=True)))
    for (video, label), (after, other) in pairwise(pairs):
        if video == after:
            raise DataError(
                f"{what}: video {video} has items of classes {label} and {other}; expected one class for each video "
                "(number them through all classes)"
            )


def check_finite(features: Tensor, *, what: str) -> None:
    """Refuse NaN and infinity in (n, width).

    Raises:
        NotFinite: names the first item with one.
    """
    finite = torch.isfinite(features).all(dim=1)
    if not finite.all():
        first = int((~finite).nonzero()[0, 0])
        raise NotFinite(
            f"{what}: item {first} has NaN or infinite features ({int((~finite).sum())} of {len(features)} items); "
            "the weights have diverged or are not this backbone's"
        )


def chunks_of(images: Tensor, frames: int) -> Iterator[slice]:
    """Cut items into runs of at most `frames` frames each; a clip stays whole, and is a run by itself if it is longer.

    So the memory of a chunk does not depend on whether frames come alone or in clips.
    """
    frames_an_item = images.shape[1] if images.ndim == 5 else 1
    items = max(1, frames // frames_an_item)
    for start in range(0, len(images), items):
        yield slice(start, start + items)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
