"""Turns a video's pictures into square frames: cropped, padded or squashed; scaled inside the decoder or by Lanczos."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundwork.errors import UsageError
from groundwork.words import counted, listed

Picture = NDArray[np.uint8]  # (height, width, 3) RGB
MOST_PIXELS = 120_000_000  # phones take pictures of 108 million pixels; decoded, that is 324 MB

# name: (width, height) of a picture -> the part of it, in its own pixels, that fills the frame's width and height
SHAPES: Mapping[str, Callable[[int, int], tuple[int, int]]] = {
    "crop": lambda width, height: (
        (min(width, height),) * 2
    ),  # the shorter side fills the frame; the longer is cropped around its center
    "pad": lambda width, height: (max(width, height),) * 2,  # the longer side fills the frame; black bars are added
    "squash": lambda width, height: (width, height),  # both sides fill the frame; circles become ovals
}
# decoder: bilinear over the whole area, inside the decoder, fast. lanczos: decoded at full size, then Pillow, as the
# published 224-px set was made; slower.
RESAMPLES = ("decoder", "lanczos")
CROP_NOTICE = 0.2  # share of the picture cropped at both ends together; 4:3 loses 0.25, 16:9 loses 0.44


@dataclass(frozen=True)
class Framing:
    """How pictures become square frames.

    Attributes:
        size_px: side of the frame, >= 1.
        shape: a name in SHAPES.
        resample: a name in RESAMPLES.

    Raises:
        UsageError: on an unknown name or a size below 1.
    """

    size_px: int
    shape: str = "crop"
    resample: str = "decoder"

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise UsageError(f"no shape {self.shape!r}; choose from {', '.join(SHAPES)}.")
        if self.resample not in RESAMPLES:
            raise UsageError(f"no resampling method {self.resample!r}; choose from {', '.join(RESAMPLES)}.")
        if self.size_px < 1:
            raise UsageError(f"frames of {self.size_px} px; expected at least 1.")

    def decoded_size(self, width: int, height: int) -> tuple[int, int]:
        """The width and height at which the decoder must give a picture whose display size is (width, height)."""
        if self.resample == "lanczos":
            return width, height
        across, down = SHAPES[self.shape](width, height)
        return _scaled(width, across, self.size_px), _scaled(height, down, self.size_px)

    def square(self, picture: Picture) -> Picture:
        """Make a frame, shape (size_px, size_px, 3), from a picture of the decoder."""
        if self.resample == "lanczos":
            picture = self._resized(picture)
        return _centered(picture, self.size_px)

    def _resized(self, picture: Picture) -> Picture:
        """Scale only the visible part. Pillow's kernel still uses pixels around it, so this equals scaling all and then
        cropping, but is cheaper, and exact where a whole scaled side would have to be rounded."""
        height, width = picture.shape[:2]
        across, down = SHAPES[self.shape](width, height)
        shown_width, shown_height = min(across, width), min(down, height)
        left, top = (width - shown_width) / 2, (height - shown_height) / 2
        target = _scaled(shown_width, across, self.size_px), _scaled(shown_height, down, self.size_px)
        part = (left, top, left + shown_width, top + shown_height)
        scaled = Image.fromarray(picture).resize(target, Image.Resampling.LANCZOS, box=part)
        return np.asarray(scaled, dtype=np.uint8)


def crop_note(sizes: Mapping[str, tuple[int, int]], what: str) -> Iterator[str]:
    """A line for the person who filmed on what cropping removes; no line if that is little.

    Args:
        sizes: width and height of each video or picture, by name.
        what: `video` or `picture`.
    """
    cut = {name: 1 - min(size) / max(size) for name, size in sizes.items()}
    if much := sorted(name for name, share in cut.items() if share >= CROP_NOTICE):
        yield (
            f"far from square: {len(much)} of {counted(len(sizes), what)}. Cropping removed up to"
            f" {100 * max(cut.values()):.0f} % of the picture at its two ends, with any object there: {listed(much)}."
            " To keep the whole picture, make frames in another folder with --shape pad."
        )


def _scaled(length: int, filling: int, size_px: int) -> int:
    """A length in pixels, scaled so that `filling` pixels become `size_px`; at least 1."""
    return max(1, round(length * (size_px / filling)))


def _centered(picture: Picture, size_px: int) -> Picture:
    """The square around the center: parts beyond it are cut off, missing parts are black."""
    height, width = (min(length, size_px) for length in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    shown = picture[top : top + height, left : left + width]
    if (height, width) == (size_px, size_px):
        return np.ascontiguousarray(shown)
    square = np.zeros((size_px, size_px, 3), dtype=np.uint8)
    above, before = (size_px - height) // 2, (size_px - width) // 2
    square[above : above + height, before : before + width] = shown
    return square
