"""Pictures that are nearly the same: one that was saved again, in another quality or size, beside its original."""

from collections import defaultdict
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.making.picture_folders import PictureFile

SIDE_PX = 8  # of a thumbnail
# Gray levels of 255. Of 300 phone photos of groceries, saved again at half their size and JPEG quality 50, thumbnails
# changed by 0.9 on average (1.4 at most), in one place by 12 at most; of 2,370, the nearest other photo of an object
# differed by 3.1.
MEAN_DIFFERENCE, LARGEST_DIFFERENCE = 2.0, 12
MOST_COMPARED = 200  # with each picture, the nearest in brightness: drawn sets have classes of 100,000


def thumbnail(picture: NDArray[np.uint8]) -> bytes:
    """The mean colors of 8 x 8 equal parts of a picture, (height, width, 3): 192 bytes."""
    return cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).tobytes()


def near_copies(thumbnails: Mapping[PictureFile, bytes]) -> list[tuple[PictureFile, PictureFile]]:
    """Of each object, pictures that are nearly the same as another that stands before them, with that one.

    Args:
        thumbnails: of the pictures to compare, in their order.
    """
    groups: dict[tuple[str, str], list[PictureFile]] = defaultdict(list)
    for picture in thumbnails:
        groups[picture.thing].append(picture)
    found = []
    for pictures in groups.values():
        colors = np.stack([np.frombuffer(thumbnails[picture], np.uint8).astype(np.int16) for picture in pictures])
        found += [(pictures[later], pictures[first]) for later, first in _near(colors)]
    return found


def _near(colors: NDArray[np.int16]) -> list[tuple[int, int]]:
    """Places of thumbnails (n, 192) that are near one before them, and of the first such. Only those of nearly the same
    brightness are compared, and not more than MOST_COMPARED with each."""
    brightness = colors.mean(axis=1)
    order = np.argsort(brightness, kind="stable")
    ends = np.searchsorted(brightness[order], brightness[order] + MEAN_DIFFERENCE, side="right")
    first: dict[int, int] = {}
    for place, end in enumerate(ends.tolist()):
        others = order[place + 1 : min(end, place + 1 + MOST_COMPARED)]
        apart = np.abs(colors[others] - colors[order[place]])
        near = others[(apart.mean(axis=1) <= MEAN_DIFFERENCE) & (apart.max(axis=1, initial=0) <= LARGEST_DIFFERENCE)]
        for other in near.tolist():
            early, later = sorted((int(order[place]), other))
            first[later] = min(early, first.get(later, early))
    return sorted(first.items())
