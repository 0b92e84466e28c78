"""Calls leave the process as they found it: it may be a server, a notebook, or somebody's experiment."""

import logging
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import av.logging
import cv2
import numpy as np
import pytest
import torch

from data_prep.making.extract import Settings, extract
from data_prep.making.pack import pack
from data_prep.making.resize import resize
from data_prep.making.summarize import summarize
from data_prep.making.verify import verify
from data_prep.pocket.pocket_set import make_pocket
from data_prep.quality.estimate import quality
from data_prep.tree.index import build_index, open_index
from data_prep.video import read_frames
from data_prep.video.damage import decoder_lines
from groundwork.errors import DataError
from groundwork.process_setting import ProcessSetting
from orbit_lite import TaskPixels, build_recognizer, load_recognizer, task_gradient
from orbit_lite.config import builtin_names
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.answering.reading import VideoJob, read_batches
from orbit_lite.personal.answering.recognize import Outputs, recognize
from orbit_lite.personal.answering.streams import Camera
from orbit_lite.personal.checking.check_user import check_user
from orbit_lite.personal.checking.report import write_check
from orbit_lite.personal.exporting.export import ExportRequest, export
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train
from tests.process_state import left_unchanged

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
THIRD_PARTY = (
    "av.filter",
    "av.logging",
    "cv2",
    "huggingface_hub",
    "matplotlib.figure",
    "matplotlib.style",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "PIL.Image",
    "pyarrow.parquet",
    "pydantic",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.covariance",
    "sympy",
    "timm",
    "torch.distributed",
    "torch.export",
    "torch._dynamo",
    "torchvision",
    "yaml",
)
for name in THIRD_PARTY:  # what these change when they are first imported is not ours
    import_module(name)


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> Path:
    """One user's raw videos: 2 objects, 2 clean videos and 1 clutter video each."""
    root = tmp_path_factory.mktemp("raw")
    make_pocket(root / "raw", users=(0, 0, 1), objects=2, clean_videos=2, clutter_videos=1, seed=3, workers=1)
    (found,) = (root / "raw/test").iterdir()
    return found


@pytest.fixture(scope="module")
def personal_file(user, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("personal") / "user.safetensors"
    personalize(ModelChoice("protonets", "tiny", "random"), [user], out, device=CPU)
    return out


@pytest.fixture(autouse=True)
def silent(capfd, monkeypatch):
    """Nor do they show anything; and a package that finds no handler at the root logger may add one."""
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own
    yield
    assert capfd.readouterr() == ("", "")


def test_importing_every_module_changes_nothing():
    code = f"""
import importlib, pkgutil
for name in {THIRD_PARTY!r}:
    importlib.import_module(name)
from tests.process_state import left_unchanged
with left_unchanged():
    count = 0
    for floor in ("groundwork", "data_prep", "eval", "orbit_lite"):
        package = importlib.import_module(floor)
        for found in pkgutil.walk_packages(package.__path__, floor + "."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
                count += 1
print(count)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_preparing_data(user, tmp_path):
    raw = user.parents[1]
    with left_unchanged():
        extract(raw, tmp_path / "frames", settings=Settings(64), workers=1)
        build_index(raw)
        for tree in (raw, tmp_path / "frames"):
            verify(tree)
            summarize(open_index(tree))
            quality(tree, workers=1)
        pack(tmp_path / "frames", tmp_path / "packed")
        resize(tmp_path / "frames", tmp_path / "small", size_px=32, workers=1)


def test_reading_videos_in_this_process(user, tmp_path):
    video = next(user.rglob("*.mp4"))
    damaged = tmp_path / "damaged.mp4"
    content = bytearray(video.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    damaged.write_bytes(content)
    with left_unchanged():
        read_frames(video, size_px=64)
        for _ in read_batches(VideoJob(video, 64, 30.0)):
            pass
        with pytest.raises(DataError):
            read_frames(damaged, size_px=64)
        with pytest.raises(DataError):
            Camera(str(tmp_path / "no camera"))


@pytest.mark.parametrize("learner", builtin_names("learner"))
def test_building_fitting_and_saving_each_learner(learner, tmp_path):
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=draw)
    labels = torch.tensor([0, 1, 0, 1])
    pixels = TaskPixels(support=images, support_labels=labels, query=images, query_labels=labels, way=2)
    path = tmp_path / "model.safetensors"
    with left_unchanged():
        recognizer = build_recognizer(learner, "tiny", weights="random", seed=1, frame_size_px=64)
        recognizer.personalize(images, labels).logits(images)
        if recognizer.learner.meta_learned:
            estimator = "exact" if learner == "imaml" else "lite"
            task_gradient(recognizer, pixels, h=1, rng=np.random.default_rng(0), estimator=estimator)
        save_recognizer(path, recognizer, config={})
        load_recognizer(path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_training_and_evaluating(pocket_frames, tmp_path, workers):
    quick = ["epochs=1", "tasks.tasks_per_user=1", "tasks_per_step=2", "tasks.query.frames.at_most=2", "lite.h=2"]
    config = load_experiment("pocket", [*quick, "optimizer.warmup_epochs=0"])
    with left_unchanged():
        done = train(config, data=pocket_frames, out=tmp_path / "train", workers=workers, device=CPU)
        request = EvaluateRequest(ModelChoice(str(done.best)), pocket_frames, "orbit-2022", "test", 1, tasks_per_user=1)
        evaluate(request, tmp_path / "evaluate", workers=workers, device=CPU, timed=True, thumbnails=True)


def test_one_users_recognizer(user, personal_file, tmp_path):
    personal = load_personal(personal_file)
    videos = sorted(user.rglob("*clutter*/*.mp4"))[:1]
    outputs = Outputs(tmp_path / "rows.csv", tmp_path / "answers.json", tmp_path / "annotated.mp4")
    with left_unchanged():
        recognize(personal, videos, outputs=outputs)
        write_check(check_user(user, ModelChoice("protonets", "tiny", "random"), seed=0, draws=1, device=CPU), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["onnx", "torchscript", "torch-export", "onnx in 8 bits"])
def test_exporting(user, personal_file, tmp_path, how):
    calibrate = [user] if how == "onnx in 8 bits" else None
    request = ExportRequest(how.split()[0], calibrate=calibrate)
    with left_unchanged():
        export(personal_file, tmp_path / "exported", request)


# --- settings that are changed while they are needed


def test_a_process_setting_goes_back_when_the_last_has_left():
    value = [0]

    def change():
        before, value[0] = value[0], 1
        return lambda: value.__setitem__(0, before)

    setting = ProcessSetting(change)
    with setting:
        with pytest.raises(ZeroDivisionError), setting:
            raise ZeroDivisionError
        assert value == [1]
    assert value == [0]
    value[0] = 5
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with setting:
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    with setting:
        assert value == [1]
    assert value == [1]  # the other one is still inside
    leave.set()
    thread.join()
    assert value == [5]


@pytest.mark.parametrize("level", [None, av.logging.PANIC, av.logging.DEBUG])
def test_libavs_log_is_heard_and_then_as_the_caller_had_it(level):
    before = av.logging.get_level()
    av.logging.set_level(level)
    try:
        with left_unchanged():
            with decoder_lines() as lines:
                av.logging.log(av.logging.ERROR, "h264", "concealing 149 errors")
                av.logging.log(av.logging.ERROR, "h264", "concealing 149 errors")
            assert [line[2] for line in lines] == ["concealing 149 errors"] * 2
    finally:
        av.logging.set_level(before)


def test_a_missing_camera_is_silent_and_opencvs_log_as_before(capfd, tmp_path):
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_INFO)
    try:
        with left_unchanged(), pytest.raises(DataError):
            Camera(str(tmp_path / "no camera"))
        assert "CAP_IMAGES" not in "".join(capfd.readouterr())  # its other lines are of the state that is read here
    finally:
        cv2.utils.logging.setLogLevel(level)
