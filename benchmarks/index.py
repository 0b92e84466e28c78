"""Opening an unchanged tree: reading and checking its index, compared with listing every frame again.

The published code lists the tree at each start. Frames are empty files in the system's cache, because neither side
opens them.
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
VIDEOS_A_USER, VIDEOS_AN_OBJECT = 56, 8  # 3,822 videos of 486 objects and 67 users


@dataclass(frozen=True)
class Workload:
    """The number of videos, and of frames in each."""

    videos: int = 150
    frames_a_video: int = 300


ORBIT = Workload(3822, 703)  # the benchmark set, 2.69 million frames; making the tree takes minutes


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """One comparison: seconds to get the index."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "frames"
        make_tree(root, size)
        time.sleep(CLOCK_MARGIN_NS / 1e9)  # folders that changed a moment ago are always listed again
        build_index(root)
        opened_s, listed_s = paired_seconds(lambda: open_index(root), lambda: build_index(root), repeats=repeats)
    setting = f"{size.videos} videos, {size.videos * size.frames_a_video} frames"
    sides = (("index.csv, checked", opened_s), ("listed again", listed_s))
    return [Comparison(setting, "time", "s", torch.get_num_threads(), *sides)]


def make_tree(root: Path, size: Workload) -> None:
    """Make a frame tree of empty files below ROOT/train."""
    for number in range(size.videos):
        user = f"P{number // VIDEOS_A_USER:03d}"
        thing = f"thing {number % VIDEOS_A_USER // VIDEOS_AN_OBJECT}"
        video = f"{user}--{thing.replace(' ', '-')}--clean--{number:04d}"
        folder = root / "train" / user / thing / "clean" / video
        folder.mkdir(parents=True)
        for frame in range(1, size.frames_a_video + 1):
            (folder / frame_file_name(video, frame)).touch()
