"""A personal recognizer in this kit, in ONNX, and in 8-bit ONNX: accuracy on clutter videos, size, time per frame.

`tiny` is meta-trained first, as in the demo, so that its accuracy is meaningful. The larger networks have random
weights, so only their size and time are.
"""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Comparison, Spread, paired_seconds
from data_prep.making.extract import extract
from data_prep.pocket.pocket_set import make_pocket
from data_prep.tree.index import Index, open_index
from eval.metrics import frame_accuracy
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.exporting.agreement import Images
from orbit_lite.personal.exporting.export import ExportRequest, export
from orbit_lite.personal.exporting.formats import FORMATS, Opened
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train

CPU = torch.device("cpu")
CHUNK_FRAMES = 8
KIT, FLOAT_FILE, INT8_FILE = "this kit", "ONNX, float", "ONNX, 8 bits"


@dataclass(frozen=True)
class Workload:
    """A pocket set, the training epochs, the step between tested clutter frames, and the larger networks to time."""

    users: tuple[int, int, int] = (24, 3, 4)
    objects: int = 5
    epochs: int = 5
    step: int = 3
    larger: tuple[str, ...] = ("resnet18", "efficientnet_b0", "efficientnet_v2_s", "vit_s_32", "vit_b_32_clip")


@dataclass(frozen=True)
class Roads:
    """One user's recognizer and its exported files."""

    personal: PersonalRecognizer
    whole: Path
    small: Path

    @property
    def opened(self) -> tuple[Opened, Opened]:
        """Open both files, float and 8-bit."""
        read = FORMATS["onnx"].open
        return read(self.whole, []), read(self.small, [])


def run(size: Workload = Workload(), *, repeats: int = 30) -> list[Comparison]:
    """Accuracy of the trained `tiny` on test users; its size and time, and those of the larger networks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pocket(folder / "raw", users=size.users, objects=size.objects)
        extract(folder / "raw", folder / "frames")
        index = open_index(folder / "frames")
        config = load_experiment("pocket", [f"epochs={size.epochs}"])
        best = train(config, data=folder / "frames", out=folder / "train", workers=0, device=CPU).best
        users = sorted((folder / "raw/test").iterdir())
        model = ModelChoice(str(best))
        exported = [_exported(model, user, folder / user.name) for user in users]
        setting = f"protonets, tiny, pocket set, epochs: {size.epochs}, test users: {len(users)}"
        found = [*_accuracy(exported, index, setting, size.step), *_size_and_time(exported[0], "tiny", repeats)]
        for backbone in size.larger:
            model = ModelChoice("protonets", backbone, "random")
            found += _size_and_time(_exported(model, users[0], folder / backbone), backbone, repeats)
    return found


def _exported(model: ModelChoice, user: Path, out: Path) -> Roads:
    file, whole, small = out / "user.safetensors", out / "whole.onnx", out / "small.onnx"
    out.mkdir()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        personalize(model, [user], file, device=CPU)
        export(file, whole, ExportRequest("onnx"))
        export(file, small, ExportRequest("onnx", calibrate=[user]))
    return Roads(load_personal(file), whole, small)


def _accuracy(exported: list[Roads], index: Index, setting: str, step: int) -> list[Comparison]:
    source = open_frames(index)
    accuracies = np.array([_of_user(roads, index, source, step) for roads in exported])  # (users, 4)
    kit, whole, small, same = (Spread.of(column.tolist()) for column in accuracies.T)
    threads = torch.get_num_threads()
    unit, metric = "fraction", "frame accuracy on clutter videos"
    return [
        Comparison(setting, metric, unit, threads, (KIT, kit), (FLOAT_FILE, whole)),
        Comparison(setting, metric, unit, threads, (FLOAT_FILE, whole), (INT8_FILE, small)),
        Comparison(setting, "same object", unit, threads, (KIT, Spread(1.0, 1.0, 1.0, 1)), (INT8_FILE, same)),
    ]


def _of_user(roads: Roads, index: Index, source: FrameSource, step: int) -> tuple[float, ...]:
    """Means over videos: frame accuracy by all three, and the share of frames where the last agrees with the first."""
    whole, small = roads.opened
    videos = []
    for row in index.rows:
        if row.user == roads.personal.user and row.video_type == "clutter":
            pictures = source.read(row.video, range(1, row.frames + 1, step))
            images = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
            label = roads.personal.objects.index(row.object)
            ours = roads.personal.fitted.logits(torch.from_numpy(images)).argmax(1).numpy()
            theirs, theirs_small = _classes(whole, images), _classes(small, images)
            accuracies = [frame_accuracy(classes, label) for classes in (ours, theirs, theirs_small)]
            videos.append([*accuracies, float(np.mean(theirs_small == ours))])
    return tuple(np.mean(videos, axis=0).tolist())


def _classes(opened: Opened, images: Images) -> NDArray[np.int64]:
    starts = range(0, len(images), CHUNK_FRAMES)
    return np.concatenate([opened.run(images[start : start + CHUNK_FRAMES])[0].argmax(1) for start in starts])


def _size_and_time(roads: Roads, backbone: str, repeats: int) -> list[Comparison]:
    """Measure one frame at a time."""
    size_px = roads.personal.frame_size_px
    frame = np.zeros((1, 3, size_px, size_px), np.uint8)
    whole, small = roads.opened
    image = torch.from_numpy(frame)
    kit_s, whole_s = paired_seconds(lambda: roads.personal.scores(image), lambda: whole.run(frame), repeats=repeats)
    again_s, small_s = paired_seconds(lambda: whole.run(frame), lambda: small.run(frame), repeats=repeats)
    whole_mb, small_mb = (Spread.of([path.stat().st_size / 1e6]) for path in (roads.whole, roads.small))
    setting = f"protonets, {backbone}, one frame at a time, onnxruntime {metadata.version('onnxruntime')}"
    threads = torch.get_num_threads()
    return [
        Comparison(setting, "time", "ms", threads, (KIT, kit_s.times(1e3)), (FLOAT_FILE, whole_s.times(1e3))),
        Comparison(setting, "time", "ms", threads, (FLOAT_FILE, again_s.times(1e3)), (INT8_FILE, small_s.times(1e3))),
        Comparison(setting, "size", "MB", threads, (FLOAT_FILE, whole_mb), (INT8_FILE, small_mb)),
    ]
