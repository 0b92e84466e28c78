"""JPEG frames read into batches per second on one core: the kit's uint8 compared with the published code's float32, and
one archive per user compared with one file per frame.

The published way is PIL, to_tensor and normalize in the worker, with 4 times the bytes to send. The kit normalizes on
the device; that time is part of a gradient's (lite), not of this benchmark. Frames from an archive are also checked
against their checksum, which files don't have.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from benchmarks.measure import Comparison, one_core, paired_seconds
from data_prep.making.pack import pack
from data_prep.tree.index import open_index
from data_prep.tree.layout import frame_file_name
from data_prep.video import encode_jpeg
from groundwork.randomness import keyed_rng
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import to_images
from orbit_lite.models.backbones.record import IMAGENET_MEAN, IMAGENET_STD

VIDEO = "made"
SHAPES = 12
NOISE = 4.0  # standard deviation, of 255: about a phone's in a lit room
REPEATS = 15  # many, because each side takes a tenth of a second, so other work on the machine matters

Batch = Callable[[range], Tensor]  # frame numbers -> pixels


@dataclass(frozen=True)
class Workload:
    """The number and size of the square JPEGs, and the batch size."""

    frames: int = 300
    frame_size_px: int = 224
    batch: int = 50


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Two comparisons of frames per second. The files are in the system's cache, so the disk's speed is not
    measured."""
    with tempfile.TemporaryDirectory() as folder, one_core():
        tree, packed = Path(folder) / "tree", Path(folder) / "packed"
        place = tree / "user" / "object" / "clean"
        make_frames(place, size)
        pack(tree, packed)

        def pil_batch(numbers: range) -> Tensor:
            return pil_frames([place / VIDEO / frame_file_name(VIDEO, number) for number in numbers])

        files_batch, packed_batch = (
            partial(kit_frames, open_frames(open_index(root), size_px=size.frame_size_px)) for root in (tree, packed)
        )
        return [
            _compare(("PIL, float32", pil_batch), ("kit, uint8", files_batch), size, repeats),
            _compare(("files", files_batch), ("packed", packed_batch), size, repeats),
        ]


def kit_frames(source: FrameSource, numbers: range) -> Tensor:
    """Read a batch the kit's way: uint8 (n, 3, s, s)."""
    return to_images(source.read(VIDEO, numbers), 1)


def pil_frames(paths: list[Path]) -> Tensor:
    """Read a batch the published way: float32 (n, 3, s, s), normalized."""
    images = []
    for path in paths:
        with Image.open(path) as picture:
            pixels = transforms.to_tensor(picture.convert("RGB"))
        images.append(transforms.normalize(pixels, IMAGENET_MEAN, IMAGENET_STD))
    return torch.stack(images)


def make_frames(root: Path, size: Workload) -> None:
    """Write `size.frames` JPEGs into ROOT/made, as in a frame tree."""
    (root / VIDEO).mkdir(parents=True)
    for number in _numbers(size):
        picture = _picture(number, size.frame_size_px)
        (root / VIDEO / frame_file_name(VIDEO, number)).write_bytes(encode_jpeg(picture))


def _picture(number: int, side_px: int) -> NDArray[np.uint8]:
    """A shaded wall with some objects and a little noise: unlike pure noise, its JPEG is as large as a photo's."""
    rng = keyed_rng(0, "frames", number)
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    picture = cv2.resize(corners, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    for _ in range(SHAPES):
        center, axes = rng.integers(0, side_px, 2).tolist(), rng.integers(4, side_px // 4, 2).tolist()
        color, turn = rng.integers(0, 256, 3).tolist(), float(rng.uniform(0, 180))
        cv2.ellipse(picture, center, axes, turn, 0, 360, color, thickness=-1)
    noisy = picture + rng.normal(0, NOISE, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _compare(first: tuple[str, Batch], second: tuple[str, Batch], size: Workload, repeats: int) -> Comparison:
    setting = f"{size.frames} JPEGs of {size.frame_size_px} px, batches of {size.batch}"
    works = (partial(_read_all, batch, size) for _, batch in (first, second))
    first_s, second_s = paired_seconds(*works, repeats=repeats)
    sides = ((first[0], first_s.rate(size.frames)), (second[0], second_s.rate(size.frames)))
    return Comparison(setting, "speed", "frames/s", torch.get_num_threads(), *sides)


def _read_all(read: Batch, size: Workload) -> None:
    """Read batch after batch, as in a training epoch; each is dropped before the next."""
    numbers = _numbers(size)
    for start in range(0, size.frames, size.batch):
        read(numbers[start : start + size.batch])


def _numbers(size: Workload) -> range:
    return range(1, size.frames + 1)
