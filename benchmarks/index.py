"""Starting on a tree that has not changed: its index, read and checked, against listing every frame anew.

The published code lists the tree at each start. Frames are empty files in the system's cache: neither side opens one.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measure import Comparison, paired_seconds
from data_prep.tree.index import CLOCK_MARGIN_NS, build_index, open_index
from data_prep.tree.layout import frame_file_name

REPEATS = 7
VIDEOS_A_USER, VIDEOS_AN_OBJECT = 56, 8  # 3,822 videos of 486 objects of 67 users


@dataclass(frozen=True)
class Size:
    """How many videos, and how many frames each of them has."""

    videos: int = 150
    frames_a_video: int = 300


ORBIT = Size(3822, 703)  # the benchmark set: 2.69 million frames; the tree alone takes minutes to make


def run(size: Size = Size(), *, repeats: int = REPEATS) -> list[Comparison]:
    """One comparison: seconds until the index is there."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "frames"
        make_tree(root, size)
        time.sleep(CLOCK_MARGIN_NS / 1e9)  # what has changed just now is listed again, to be sure
        build_index(root)
        opened_s, listed_s = paired_seconds(lambda: open_index(root), lambda: build_index(root), repeats=repeats)
    setting = f"{size.videos} videos, {size.videos * size.frames_a_video} frames"
    sides = (("index.csv, checked", opened_s), ("listed anew", listed_s))
    return [Comparison(setting, "time", "s", torch.get_num_threads(), *sides)]


def make_tree(root: Path, size: Size) -> None:
    """Make a frame tree of empty files under ROOT/train."""
    for number in range(size.videos):
        user = f"P{number // VIDEOS_A_USER:03d}"
        thing = f"thing {number % VIDEOS_A_USER // VIDEOS_AN_OBJECT}"
        video = f"{user}--{thing.replace(' ', '-')}--clean--{number:04d}"
        folder = root / "train" / user / thing / "clean" / video
        folder.mkdir(parents=True)
        for frame in range(1, size.frames_a_video + 1):
            (folder / frame_file_name(video, frame)).touch()
