"""What work on many users takes: one process beside two, processor time and storage per unit, a disk slow to seek.

`scale_table` works out from these numbers what larger sets take.
"""

import builtins
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks import evaluate, frames
from benchmarks.extract import Workload as VideoWorkload
from benchmarks.extract import write_video
from benchmarks.measure import REPEATS, Comparison, Spread, cpu_seconds, one_core, paired_seconds, seconds_in_turn
from benchmarks.personalize import Workload as UserWorkload
from benchmarks.personalize import film
from data_prep.making.extract import extract
from data_prep.making.pack import pack
from data_prep.quality.estimate import quality
from data_prep.tree.index import Index, open_index
from data_prep.tree.packed import PackedUser
from data_prep.tree.shard import Shard
from data_prep.workers.pool import Outcome
from groundwork.errors import DataError
from orbit_lite.data.frames import open_frames
from orbit_lite.models.choice import EMBEDDED_START
from orbit_lite.personal.teaching.personalize import personalize

SPEED, CPU_TIME, FRAME_BYTES, USER_BYTES = "speed", "processor time", "size of a frame", "size of a user's data"
EXTRACT, QUALITY, PERSONALIZE = "extract", "quality", "personalize"
FRAME_TREE, PERSONAL_FILE = "frame tree", "personal file"
PER_FRAMES = 1000  # what processor time is of
DELAY_S = 0.005  # of a disk that is slow to seek: a hard disk takes about as long
STEP = 30  # `orbit-2022` teaches with every 30th frame
_READ_AHEAD_BYTES = 4096  # a read that begins so close to the end of the last one needs no seek


VIDEOS = 2  # of each object of that user
PREDICTED = evaluate.Workload(users=2, objects=3, clean_videos=2, video_frames=150)


@dataclass(frozen=True)
class Workload:
    """How much work is measured."""

    videos: int = 8  # for two shards, an even number
    pictures: int = 300  # 10 s
    width_px: int = 1920
    height_px: int = 1080
    objects: int = 3  # of the user who is personalized
    frames: int = 300  # of the disk that is slow to seek
    predicted: evaluate.Workload = PREDICTED

    @property
    def video(self) -> VideoWorkload:
        return VideoWorkload(pictures=self.pictures, width_px=self.width_px, height_px=self.height_px)


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """All comparisons. Processor time does not count what else the machine does; the clock does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "one.mp4", size.video)
        return [
            shards(folder, size, repeats=repeats),
            predicting(folder, size, repeats=max(1, repeats - 1)),
            *per_frame_and_user(folder, size, repeats=repeats),
            *slow_disk(size, repeats=repeats),
        ]


def shards(folder: Path, size: Workload, *, repeats: int) -> Comparison:
    """Two shards as two processes, one after the other and at once; each command from its start, and the join."""
    raw = _raw_of_two_shards(folder, size)

    def run_shards(*, at_once: bool) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            verb = ["-m", "orbit_lite", "prep", "extract", str(raw), f"{out}/out", "--workers", "1"]
            groups = [[1, 2]] if at_once else [[1], [2]]
            for group in groups:
                _run_all([[*verb, "--shard", f"{number}/2"] for number in group])
            _run_all([verb])

    one_s, two_s = paired_seconds(
        lambda: run_shards(at_once=False), lambda: run_shards(at_once=True), repeats=repeats, warm=False
    )
    count = size.videos * size.pictures
    setting = f"extract, {size.videos} videos of {size.pictures} frames, {size.height_px}p H.264, one worker per shard"
    sides = (("2 shards in turn", one_s.rate(count)), ("2 shards at once", two_s.rate(count)))
    return Comparison(setting, SPEED, "frames/s", 1, *sides)


def predicting(folder: Path, size: Workload, *, repeats: int) -> Comparison:
    """`evaluate` under torchrun with one rank and with two, of one thread each, from the command's start."""
    index = evaluate.made_tree(folder / "predicted", size.predicted)

    def run_ranks(ranks: int) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
            model = ["--model", "protonets", "--backbone", "efficientnet_lite0", "--weights", "random"]
            tasks = ["--protocol", evaluate.PROTOCOL, "--tasks-per-user", "5", "--workers", "0", "--engine", "torch"]
            data = ["--data", str(index.root), "--out", f"{out}/run"]
            _run_all([[*torchrun, "-m", "orbit_lite", "evaluate", *model, *tasks, *data]])

    one_s, two_s = paired_seconds(lambda: run_ranks(1), lambda: run_ranks(2), repeats=repeats, warm=False)
    setting = (
        f"evaluate, efficientnet_lite0, engine torch, {evaluate.PROTOCOL}, {size.predicted.users} users, 5 tasks each, "
        f"{len(index.rows)} videos of {size.predicted.video_frames} frames"
    )
    return Comparison(setting, "time", "s", 1, ("1 process", one_s), ("2 processes", two_s))


def per_frame_and_user(folder: Path, size: Workload, *, repeats: int) -> list[Comparison]:
    """Processor seconds per 1,000 frames of video, and bytes, of what is made of one user's videos."""
    raw = folder / "user/alice"
    size_of_user = UserWorkload(size.objects, VIDEOS, size.pictures, size.width_px, size.height_px)
    film(folder / "alice", size_of_user)
    raw.parent.mkdir()
    (folder / "alice").rename(raw)
    filmed = [path.stat().st_size for path in raw.rglob("*.mp4")]
    count = len(filmed) * size.pictures
    tree, packed, personal = folder / "alice-frames", folder / "alice-packed", folder / "alice.safetensors"

    def extract_again() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            extract(folder / "user", Path(out) / "frames", workers=1)

    def personalize_again() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            personalize(EMBEDDED_START, [raw], personal, device=torch.device("cpu"), engine="torch", workers=1)

    with one_core(), in_this_process():
        extract(folder / "user", tree, workers=1)
        works = [extract_again, lambda: quality(tree, workers=1), personalize_again]
        seconds = seconds_in_turn(works, repeats=repeats, warm=False, seconds=cpu_seconds)
    extract_s, quality_s, personalize_s = (each.times(PER_FRAMES / count) for each in seconds)
    pack(tree, packed)
    setting = f"{size.objects} objects, {VIDEOS} videos of {size.pictures} frames each, {size.height_px}p H.264"
    unit = f"s per {PER_FRAMES:,} frames"
    frame_sizes = [path.stat().st_size for path in tree.rglob("*.jpg")]
    archives = sum(path.stat().st_size for path in packed.rglob("*.zip"))
    return [
        Comparison(setting, CPU_TIME, unit, 1, (EXTRACT, extract_s), (QUALITY, quality_s)),
        Comparison(setting, CPU_TIME, unit, 1, (EXTRACT, extract_s), (PERSONALIZE, personalize_s)),
        _sizes(setting, FRAME_BYTES, (FRAME_TREE, sum(frame_sizes) / count), ("packed tree", archives / count)),
        _sizes(setting, USER_BYTES, ("videos as filmed", sum(filmed)), (PERSONAL_FILE, personal.stat().st_size)),
    ]


def slow_disk(size: Workload, *, repeats: int, delay_s: float = DELAY_S) -> list[Comparison]:
    """Frames from files and from an archive, where each open and each seek takes so long; in order, and every 30th."""
    compared = []
    with tempfile.TemporaryDirectory() as name, one_core(), slow_to_seek(delay_s):
        tree, packed = Path(name) / "tree", Path(name) / "packed"
        frames.make_frames(tree / "user/object/clean", frames.Workload(frames=size.frames))
        pack(tree, packed)
        indexes = [open_index(root) for root in (tree, packed)]
        for step, order in ((1, "in order"), (STEP, f"every {STEP}th")):
            numbers = range(1, size.frames + 1, step)

            works = [partial(_read, index, numbers) for index in indexes]
            files_s, packed_s = paired_seconds(*works, repeats=repeats)
            setting = (
                f"{len(numbers)} of {size.frames} frames of 224 px, {order}, {delay_s * 1000:g} ms per open or seek"
            )
            sides = ((FRAME_TREE, files_s.rate(len(numbers))), ("packed tree", packed_s.rate(len(numbers))))
            compared.append(Comparison(setting, SPEED, "frames/s", 1, *sides))
    return compared


@contextmanager
def slow_to_seek(delay_s: float) -> Iterator[None]:
    """Within the block, each open of a frame or an archive waits so long, and so does each read of an archive that
    does not begin where the last one ended."""
    read_at, opened = PackedUser._read_at, PackedUser.__init__
    ends: dict[int, int] = {}

    def slow_open(*arguments: Any, **more: Any) -> Any:
        time.sleep(delay_s)
        return builtins.open(*arguments, **more)

    def slow_init(user: PackedUser, path: Path) -> None:
        time.sleep(2 * delay_s)  # for the file and for its directory, which is at its end
        opened(user, path)

    def slow_read(user: PackedUser, offset: int, size: int) -> bytes:
        if abs(offset - ends.get(id(user), -_READ_AHEAD_BYTES - 1)) > _READ_AHEAD_BYTES:
            time.sleep(delay_s)
        ends[id(user)] = offset + size
        return read_at(user, offset, size)

    with (
        patch("orbit_lite.data.frames.open", slow_open, create=True),
        patch.object(PackedUser, "__init__", slow_init),
        patch.object(PackedUser, "_read_at", slow_read),
    ):
        yield


@contextmanager
def in_this_process() -> Iterator[None]:
    """Within the block, work for worker processes is done here, so that its processor time can be measured."""

    def here(function: Callable[[Any], Any], items: Sequence[Any], **_: object) -> Iterator[Outcome[Any, Any]]:
        for item in items:
            yield Outcome(item, function(item))

    modules = ("data_prep.making.run", "data_prep.quality.estimate", "orbit_lite.personal.teaching.sampling")
    with ExitStack() as held:
        for module in modules:
            held.enter_context(patch(f"{module}.run_in_workers", here))
        yield


def _raw_of_two_shards(folder: Path, size: Workload) -> Path:
    """A raw tree of which two shards have as many videos each."""
    wanted = {Shard(number, 2): size.videos // 2 for number in (1, 2)}
    number = 0
    while any(wanted.values()):
        number += 1
        place = f"ann/thing/clean/{number}.mp4"
        owner = next(shard for shard in wanted if shard.owns(place))
        if wanted[owner]:
            wanted[owner] -= 1
            path = folder / "raw" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / "one.mp4", path)
    return folder / "raw"


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    """Run Python with each of these arguments, all at once, one thread each.

    Raises:
        DataError: if one fails; with its last line.
    """
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    running = [
        subprocess.Popen([sys.executable, *arguments], env=environment, text=True, **streams)  # type: ignore[call-overload]
        for arguments in commands
    ]
    for process, arguments in zip(running, commands, strict=True):
        _, errors = process.communicate()
        if process.returncode:
            raise DataError(f"{' '.join(arguments)}: exit status {process.returncode}; {errors.strip()[-500:]}")


def _read(index: Index, numbers: Sequence[int]) -> None:
    open_frames(index).read(frames.VIDEO, numbers)


def _sizes(setting: str, metric: str, first: tuple[str, float], second: tuple[str, float]) -> Comparison:
    one, other = ((name, Spread.of([float(size)])) for name, size in (first, second))
    return Comparison(setting, metric, "bytes", 1, one, other)
