"""One video by each reader: CPU seconds and memory, for all pictures in order and for every 30th.

Each reader opens the file, lists its packets and returns frames of 224 px, on one core. PyAV's side includes everything
that the kit does for its own reader; the other sides only what these readers do, without PyAV's check for damage.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.extract import Workload, write_video
from benchmarks.measure import REPEATS, Comparison, cpu_seconds, one_core, peak_memory_mb, seconds_in_turn
from data_prep.video import READERS, Framing, Picture, VideoInfo, probe, read_pictures
from groundwork.errors import UsageError

SIZE = Workload(pictures=600)
STEP = 30  # `personalize` takes one frame per second
KIT = "pyav"


def run(size: Workload = SIZE, *, repeats: int = REPEATS) -> list[Comparison]:
    """Compare PyAV with each other installed reader.

    Raises:
        UsageError: if no other reader is installed.
    """
    others = [name for name in READERS if name != KIT and _is_installed(name)]
    if not others:
        raise UsageError(
            f"no reader other than {KIT} is installed: "
            f"{'; '.join(r.install for r in READERS.values() if r.name != KIT)}"
        )
    compared = []
    with tempfile.TemporaryDirectory() as folder, one_core():
        path = Path(folder) / "one.mp4"
        write_video(path, size)
        info = probe(path)
        for name in (KIT, *others):  # so that its libraries are loaded
            _read(name, path, info, info.pictures, size.frame_size_px)
        for step in (1, STEP):
            names = [KIT, *others]
            works = [partial(_read, name, path, info, step, size.frame_size_px) for name in names]
            cpu_s = seconds_in_turn(works, repeats=repeats, warm=False, seconds=cpu_seconds)
            memory = [peak_memory_mb(partial(_prepared, work)) for work in works]
            taken = "every picture, in order" if step == 1 else f"every {step}th picture"
            setting = f"H.264, {size.width_px} x {size.height_px}, {size.pictures} pictures: {taken}"
            for metric, unit, spreads in (("CPU time", "s", cpu_s), ("memory", "MB", memory)):
                kit = (READERS[KIT].version(), spreads[0])
                for name, spread in zip(others, spreads[1:], strict=True):
                    compared.append(Comparison(setting, metric, unit, 1, (READERS[name].version(), spread), kit))
    return compared


def _is_installed(name: str) -> bool:
    try:
        READERS[name].require()
    except UsageError:
        return False
    return True


def _prepared(work: Callable[[], int]) -> Callable[[], object]:
    """Prepare the work for a separate process; a short first read loads the reader's libraries."""
    name, path, info, _, size_px = work.args  # type: ignore[attr-defined]
    _read(name, path, info, info.pictures, size_px)
    return work


def _read(name: str, path: Path, info: VideoInfo, step: int, size_px: int) -> int:
    framing, numbers = Framing(size_px), np.arange(0, info.pictures, step)
    read = sum(1 for _ in _pictures(name, path, info, numbers, framing))
    if read != len(numbers):
        raise ValueError(f"{name} gave {read} pictures, expected {len(numbers)}")
    return read


def _pictures(
    name: str, path: Path, info: VideoInfo, numbers: NDArray[np.int64], framing: Framing
) -> Iterator[Picture]:
    if name == KIT:
        path.touch()  # so that the file is probed again: results are cached until it changes
        yield from read_pictures(path, probe(path), numbers, framing)
        return
    opened = READERS[name].adapter().open_pictures(path, info, framing.decoded_size(info.width, info.height))
    yield from (framing.square(picture) for picture in opened.pictures(numbers))
