"""Finds pictures that are nearly the same, such as one that was saved again in another quality or size."""

from collections import defaultdict
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep.making.picture_folders import PictureFile

SIDE_PX = 8  # of a thumbnail
# Gray levels of 255. 300 phone photos of groceries were saved again at half their size and JPEG quality 50: thumbnails
# changed by 0.9 on average (at most 1.4), and at most by 12 in one place. Among 2,370 photos, the nearest other photo
# of the same object differed by 3.1.
MEAN_DIFFERENCE, LARGEST_DIFFERENCE = 2.0, 12
MOST_COMPARED = 200  # pictures compared with each, nearest in brightness first: some sets have classes of 100,000


def thumbnail(picture: NDArray[np.uint8]) -> bytes:
    """The mean colors of 8 x 8 equal parts of a picture, (height, width, 3): 192 bytes."""
    return cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).tobytes()


def near_copies(thumbnails: Mapping[PictureFile, bytes]) -> list[tuple[PictureFile, PictureFile]]:
    """For each object, the pictures that are nearly the same as an earlier picture, each with that picture.

    Args:
        thumbnails: thumbnails of the pictures to compare, in order.
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
    """Indices of thumbnails (n, 192) that are near an earlier one, each with the index of the first such. Only
    thumbnails of nearly the same brightness are compared, each with at most MOST_COMPARED others."""
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
