"""Uncompressed pictures in a larger file, as in data sets of small pictures."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from data_prep.video import Picture
from groundwork.errors import DataError


@dataclass(frozen=True)
class RawPixels:
    """The position of one uint8 picture in its file.

    Attributes:
        offset: position of its first byte.
        shape: the stored shape, in C order, such as (3, height, width).
        axes: the stored axes in the order height, width and, for color pictures, channel.
    """

    offset: int
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def read(self, path: Path) -> Picture:
        """The picture in RGB, uint8 (height, width, 3).

        Raises:
            DataError: if the file ends before it.
        """
        count = prod(self.shape)
        found = np.fromfile(path, np.uint8, count, offset=self.offset)
        if len(found) < count:
            raise DataError(f"{path}: ends at byte {self.offset + len(found)}, inside a picture. Get the file again.")
        picture = found.reshape(self.shape).transpose(self.axes)
        return np.ascontiguousarray(picture if picture.ndim == 3 else np.stack([picture] * 3, axis=2))
