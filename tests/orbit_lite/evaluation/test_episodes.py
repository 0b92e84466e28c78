import json
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.tree.index import Index, build_index, open_index
from data_prep.tree.layout import frame_file_name
from eval.formats.records import read_predictions, read_tasks
from eval.score import score
from groundwork.errors import UsageError
from orbit_lite.cli.parser import main
from orbit_lite.config import load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.samplers import open_sampler
from orbit_lite.evaluation.causal_filter import CausalFilter
from orbit_lite.evaluation.predict import predict
from orbit_lite.models.learner import load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from tests.orbit_lite.evaluation.made_images import make_images

SIZE_PX = 32
FEW = {  # overrides of each protocol, so that a small tree is enough
    "episodes-5w1s": ["query=4", "tasks_per_user=6"],
    "episodes-5w5s": ["way=3", "query=4", "tasks_per_user=3"],
    "meta-dataset": ["tasks=6"],
    "vtab-1000": ["support=40", "tasks_per_user=2"],
}
STEPS = {"inner_steps": 2, "steps": 3}  # for learners with these settings


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images") / "tree"
    make_images(root, size_px=SIZE_PX)
    build_index(root)
    return root


@pytest.fixture(scope="module")
def index(root) -> Index:
    return open_index(root)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return build_recognizer("protonets", "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)


def tasks_of(index, protocol, *more, **numbers):
    plan = load_protocol(protocol, [*FEW[protocol], *more])
    return open_sampler(index, plan, split="test", seed=2).draw_all(**numbers)


@dataclass
class Counted:
    """A source that counts how often each image is read, and the most images per call."""

    source: FrameSource
    times: Counter = field(default_factory=Counter)
    least_workers = 0

    def read(self, video, frames):
        self.times.update((video, frame) for frame in frames)
        return self.source.read(video, frames)


def counted(index):
    return Counted(open_frames(index, size_px=SIZE_PX))


def built(learner):
    config = load_learner(learner)
    few = {name: value for name, value in STEPS.items() if name in config.head_settings}
    config = config.model_copy(update={"head_settings": config.head_settings | few})
    few = {name: value for name, value in STEPS.items() if name in config.adapter_settings}
    config = config.model_copy(update={"adapter_settings": config.adapter_settings | few})
    return build_recognizer(config, "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)


# One head of each kind, and adapters that need the images; test_predict.py tests every learner.
ROADS = [("meta-dataset", learner) for learner in ("ridge", "lda", "finetuner", "anil")]
ROADS += [(protocol, learner) for protocol in FEW for learner in ("protonets", "simple_cnaps")]


@pytest.mark.parametrize(("protocol", "learner"), ROADS)
def test_predictions_equal_the_plain_way(index, protocol, learner):
    """The plain way: each task separately, embedding all of its images."""
    recognizer, source = built(learner), open_frames(index, size_px=SIZE_PX)
    tasks = tasks_of(index, protocol)
    tasks = replace(tasks, tasks=tasks.tasks[:2])
    once = predict(recognizer, tasks, index, source, quiet=True)
    plain = predict(recognizer, tasks, index, source, plain=True, quiet=True)
    keys = ["user", "task", "video", "frame"]
    pd.testing.assert_frame_equal(once[keys], plain[keys])
    assert np.allclose(once.confidence, plain.confidence, atol=1e-3)
    assert (once.prediction == plain.prediction).mean() > 0.99  # for ties, rounding decides


def test_accuracy_is_that_of_a_plain_loop(root, index, recognizer, tmp_path):
    """A plain loop without the kit: read files one by one, embed each image alone, nearest mean, mean over tasks."""
    tasks = tasks_of(index, "episodes-5w1s", "shot=3", tasks_per_user=5)
    places = {row.video: row.path for row in index.rows}

    @cache
    def feature(video):
        picture = cv2.imread(str(root / places[video] / frame_file_name(video, 1)))[:, :, ::-1]
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
        return recognizer.embed(image)[0].numpy()

    accuracies = []
    for task in tasks.tasks:
        by_class = {}
        for plan in task.support:
            by_class.setdefault(plan.label, []).append(feature(plan.video))
        means = np.stack([np.mean(by_class[label], axis=0) for label in range(5)])
        distances = [np.square(means - feature(plan.video)).sum(axis=1) for plan in task.query]
        right = [distance.argmin() == plan.label for distance, plan in zip(distances, task.query, strict=True)]
        accuracies.append(np.mean(right))
    card = score(tasks, predict(recognizer, tasks, index, open_frames(index, size_px=SIZE_PX), quiet=True))
    found = card.overall.frame_accuracy.per_task
    assert found.mean == pytest.approx(np.mean(accuracies), abs=1e-9) and 0.25 < found.mean < 0.99
    assert found.protocol_interval.half_width == pytest.approx(1.96 * np.std(accuracies) / np.sqrt(10))
    assert [row.frame_accuracy for row in card.per_task] == pytest.approx(accuracies)


def test_each_image_is_read_once_where_features_are_shared(index, recognizer):
    tasks, source = tasks_of(index, "episodes-5w5s", tasks_per_user=40), counted(index)
    predict(recognizer, tasks, index, source, quiet=True)
    assert set(source.times.values()) == {1} and len(source.times) == len(index.rows)


def test_each_image_is_read_once_for_each_state_where_a_learner_adapts(index):
    tasks, source = tasks_of(index, "vtab-1000", tasks_per_user=1), counted(index)
    task = tasks.tasks[0]
    predict(built("simple_cnaps"), tasks, index, source, quiet=True)
    assert set(source.times.values()) == {1}
    assert len(source.times) == len(tasks.tasks) * (len(task.support) + len(task.query))


@pytest.mark.parametrize("protocol", FEW)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_does_not_matter(index, recognizer, protocol, workers):
    tasks, source = tasks_of(index, protocol), open_frames(index, size_px=SIZE_PX)
    found = predict(recognizer, tasks, index, source, workers=workers, quiet=True)
    pd.testing.assert_frame_equal(found, predict(recognizer, tasks, index, source, quiet=True))


def test_features_of_a_large_query_set_are_discarded(index, recognizer, monkeypatch):
    """With one support set, at most one job's query features are in memory at a time."""
    sizes = []
    real = Recognizer.embed_by

    def seen(self, encoder, items, **options):
        sizes.append(len(items))
        return real(self, encoder, items, **options)

    monkeypatch.setattr(Recognizer, "embed_by", seen)
    monkeypatch.setattr("orbit_lite.evaluation.source_work.FRAMES_A_JOB", 10)
    tasks = tasks_of(index, "vtab-1000", tasks_per_user=1)
    predict(recognizer, tasks, index, open_frames(index, size_px=SIZE_PX), quiet=True)
    assert max(sizes) == 10 and sum(sizes) == len(index.rows)


def test_a_filter_over_time_is_refused_by_name(index, recognizer):
    tasks, source = tasks_of(index, "meta-dataset"), open_frames(index, size_px=SIZE_PX)
    with pytest.raises(UsageError, match=r"--filter-stay: needs .* protocol meta-dataset.* uses single images"):
        predict(recognizer, tasks, index, source, causal_filter=CausalFilter(0.5), quiet=True)


@pytest.fixture(scope="module")
def root_224(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images") / "tree"
    make_images(root, size_px=224, classes=6, count=6)
    return root


def test_the_verbs_draw_predict_score_compare_and_report(root_224, tmp_path, capsys):
    model = ["--backbone", "tiny", "--weights", "random", "--data", str(root_224)]
    protocol = ["--protocol", "episodes-5w1s", "--set", "query=3", "--tasks", "25", "--workers", "0"]
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert main(["evaluate", "--model", "protonets", *model, *protocol, "--out", a]) == 0
    said = capsys.readouterr().out
    assert "25 tasks" in said and "Frames to recognition and video accuracy are left out" in said
    assert main(["evaluate", "--model", "ridge", *model, *protocol, "--out", b]) == 0
    assert main(["evaluate", "--model", "ridge", *model, *protocol, "--out", b]) == 0  # resumes with nothing left to do
    card = json.loads((tmp_path / "b" / "scorecard.json").read_text())
    assert card["protocol"] == "episodes-5w1s, query=3" and card["single_images"] and not card["per_video"]
    assert card["overall"].keys() == {"frame_accuracy", "chance", "ece", "answers"}
    assert card["overall"]["frame_accuracy"]["per_task"]["n"] == 25
    assert len(read_tasks(tmp_path / "b" / "tasks.jsonl").tasks) == 25
    assert len(read_predictions(tmp_path / "b" / "predictions.parquet")) == 25 * 15
    capsys.readouterr()
    assert main(["compare", a, b]) == 0
    assert "mean over 25 tasks" in capsys.readouterr().out
    assert main(["leaderboard", a, b]) == 0
    assert "episodes-5w1s, query=3" in capsys.readouterr().out
    assert main(["report", a]) == 0
    assert not (tmp_path / "a" / "per_video.csv").exists() and (tmp_path / "a" / "per_task.csv").is_file()


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--filter-stay", "0.5"], 2, "--filter-stay: needs video frames in time order"),
        (["--thumbnails"], 2, "--thumbnails: needs video frames in time order"),
        (["--set", "way=9"], 1, "6 classes with at least 5 images"),
        (["--tasks-per-user", "3"], 2, "not allowed with"),
        (["--set", "shot"], 2, "'shot': expected key=value"),
    ],
)
def test_impossible_requests_are_one_line_before_anything_is_written(root_224, tmp_path, capsys, more, status, said):
    command = ["evaluate", "--model", "protonets", "--backbone", "tiny", "--weights", "random", "--data", str(root_224)]
    command += ["--protocol", "episodes-5w1s", "--set", "query=4", "--tasks", "3", *more]
    command += ["--out", str(tmp_path / "run")]
    try:
        assert main(command) == status
    except SystemExit as stop:
        assert stop.code == status
    found = capsys.readouterr().err.strip().splitlines()
    assert said in found[-1] and not (tmp_path / "run").exists()


def test_images_of_another_size_are_named(root, tmp_path, capsys):
    command = ["evaluate", "--model", "protonets", "--backbone", "tiny", "--weights", "random", "--data", str(root)]
    assert main([*command, "--protocol", "episodes-5w1s", "--set", "query=4", "--out", str(tmp_path / "run")]) == 1
    assert "32x32 pixels, expected 224x224" in capsys.readouterr().err


def test_links_and_copies_are_never_in_support_and_query(tmp_path, recognizer):
    root = tmp_path / "tree"
    make_images(root, sources=("birds",), classes=5, count=8)
    for place in range(5):  # image 0 again, as a copy and as a link
        folder = root / "birds" / f"class {place}" / "clean"
        first = f"birds--class-{place}--clean--stills-0000"
        content = (folder / first / frame_file_name(first, 1)).read_bytes()
        for number in (8, 9):
            video = f"birds--class-{place}--clean--stills-{number:04d}"
            (folder / video).mkdir()
            file = folder / video / frame_file_name(video, 1)
            file.write_bytes(content) if number == 8 else file.symlink_to(folder / first / frame_file_name(first, 1))
    sampler = open_sampler(open_index(root), load_protocol("episodes-5w5s", ["query=3"]), split="test", seed=0)
    assert sorted(entry.video[-4:] for entry in sampler.left_out) == [*["0008"] * 5, *["0009"] * 5]
    with pytest.raises(Exception, match="0 classes with at least 10 images"):
        open_sampler(open_index(root), load_protocol("episodes-5w5s", ["query=5"]), split="test", seed=0)
