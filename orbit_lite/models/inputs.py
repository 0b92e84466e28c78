"""Checks a recognizer's inputs, with errors that name the value, and cuts them into chunks."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from groundwork.errors import DataError


class NotFinite(DataError):
    """Features or fitted values are NaN or infinite, or about to overflow."""


class NotSolved(DataError):
    """A head, or the linear system for a gradient, is not solved as accurately as its settings demand."""


def check_images(images: Tensor, *, frame_size_px: int, what: str = "images") -> None:
    """Check that images are uint8 (n, 3, s, s), or clips (n, frames, 3, s, s), with n >= 1.

    Raises:
        DataError: otherwise; the message says what they are.
    """
    expected = f"expected uint8 (n, 3, {frame_size_px}, {frame_size_px}), or clips (n, frames, 3, ...)"
    if images.dtype != torch.uint8:
        raise DataError(f"{what}: dtype {_name(images.dtype)}; {expected}, as decoded, not normalized")
    shape = tuple(images.shape)
    if len(shape) not in (4, 5) or shape[-3:] != (3, frame_size_px, frame_size_px):
        raise DataError(f"{what}: shape {shape}; {expected}")
    if images.numel() == 0:
        raise DataError(f"{what}: shape {shape}, which has no image; {expected}")


def check_labels(labels: Tensor, *, items: int, what: str = "labels") -> None:
    """Check that labels are int64 (items,), all at least 0.

    Raises:
        DataError: otherwise; the message says what they are.
    """
    if labels.dtype != torch.int64:
        raise DataError(f"{what}: dtype {_name(labels.dtype)}; expected int64")
    if tuple(labels.shape) != (items,):
        raise DataError(f"{what}: shape {tuple(labels.shape)}; expected ({items},), one label per item")
    lowest = int(labels.min())
    if lowest < 0:
        raise DataError(f"{what}: label {lowest} at index {int(labels.argmin())}; expected 0 or more")


def check_support_labels(labels: Tensor, *, items: int, way: int | None = None, what: str = "labels") -> int:
    """Check labels, and that every class in 0..way-1 occurs. `way` is the highest label + 1 if not given.

    Returns:
        way.

    Raises:
        DataError: otherwise; the message names the class without items, or the label that is too high.
    """
    check_labels(labels, items=items, what=what)
    present = set(labels.tolist())
    way = way or max(present) + 1
    if max(present) >= way:
        raise DataError(f"{what}: label {max(present)} in a task with {way} classes; expected 0..{way - 1}")
    # counted, not listed: one stray label of 10^12 must not create a list that long
    if len(present) < way:
        first = next(label for label in range(way) if label not in present)
        raise DataError(
            f"{what}: class {first} has no item ({way - len(present)} of {way} have none); "
            f"expected every class 0..{way - 1}"
        )
    return way


def check_videos(videos: Tensor | None, labels: Tensor, *, what: str = "videos") -> None:
    """Check that videos are None, or int64 of the labels' shape with every video in a single class.

    Raises:
        DataError: otherwise; the message says what they are, or names the video with two classes.
    """
    if videos is None:
        return
    if videos.dtype != torch.int64:
        raise DataError(f"{what}: dtype {_name(videos.dtype)}; expected int64")
    if videos.shape != labels.shape:
        raise DataError(
            f"{what}: shape {tuple(videos.shape)}; expected {tuple(labels.shape)}, one video number per item"
        )
    pairs = sorted(set(zip(videos.tolist(), labels.tolist(), strict=True)))
    for (video, label), (after, other) in pairwise(pairs):
        if video == after:
            raise DataError(
                f"{what}: video {video} has items of classes {label} and {other}; expected one class per video "
                "(videos of different classes need different numbers)"
            )


def check_finite(features: Tensor, *, what: str) -> None:
    """Check that features (n, width) are finite.

    Raises:
        NotFinite: otherwise; the message names the first bad item.
    """
    finite = torch.isfinite(features).all(dim=1)
    if not finite.all():
        first = int((~finite).nonzero()[0, 0])
        raise NotFinite(
            f"{what}: item {first} has NaN or infinite features ({int((~finite).sum())} of {len(features)} items); "
            "the weights have diverged, or belong to another backbone"
        )


def chunks_of(images: Tensor, frames: int) -> Iterator[slice]:
    """Cut items into runs of at most `frames` frames; clips stay whole, and a longer clip is its own run.

    So a chunk's memory is the same for single frames and for clips.
    """
    frames_an_item = images.shape[1] if images.ndim == 5 else 1
    items = max(1, frames // frames_an_item)
    for start in range(0, len(images), items):
        yield slice(start, start + items)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
