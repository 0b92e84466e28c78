import weakref
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.tree.index import Index, open_index
from eval.formats.records import PREDICTION_COLUMNS, Task, TaskSet, VideoPlan
from groundwork.errors import DataError
from orbit_lite.config import builtin_names, load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.evaluation.predict import predict
from orbit_lite.evaluation.user_work import FRAMES_A_JOB
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.learner import load_learner
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer, build_recognizer

SMALL_PX = 32
SHRUNK, SHRUNK_PX = 3, 75  # every 3rd pixel of 224
PROTOCOLS = ["orbit-2022", "orbit-2021-clu-ve", "orbit-2021-cle-ve"]


@dataclass(frozen=True)
class Shrunk:
    """A source with smaller frames, since the network's input is not tested; it takes a ninth of the time."""

    source: FrameSource
    least_workers = 0

    def read(self, video, frames):
        return np.ascontiguousarray(self.source.read(video, frames)[:, ::SHRUNK, ::SHRUNK])


def open_shrunk(index):
    return Shrunk(open_frames(index))


@pytest.fixture(scope="module")
def recognizer():
    return build_recognizer("protonets", "tiny", weights="random", seed=1, frame_size_px=SHRUNK_PX)


@pytest.fixture(scope="module")
def index(pocket_frames):
    return open_index(pocket_frames)


def tasks_of(index, protocol, count=2):
    return TaskSampler(index, load_protocol(protocol), split="test", seed=2).draw_all(tasks_per_user=count)


# Every learner with a protocol whose tasks share their support set, and one of each kind with the others.
ROADS = [("orbit-2022", learner) for learner in builtin_names("learner")]
ROADS += [(protocol, "protonets") for protocol in PROTOCOLS[1:]] + [("orbit-2021-cle-ve", "cnaps")]


def shortened(task, *, support, query):
    """A task with at most this many frames per video."""

    def first(plans, count):
        return tuple(replace(plan, frames=plan.frames[:count]) for plan in plans)

    return replace(task, support=first(task.support, support), query=first(task.query, query))


def of_one_user(tasks):
    return tuple(task for task in tasks.tasks if task.user == tasks.tasks[0].user)


@pytest.fixture
def given(monkeypatch):
    """All logits of fitted recognizers, in order."""
    given = []
    real = FittedRecognizer.logits_from_features

    def remembered(fitted, features):
        given.append(real(fitted, features))
        return given[-1]

    monkeypatch.setattr(FittedRecognizer, "logits_from_features", remembered)
    return given


@pytest.mark.parametrize(("protocol", "learner"), ROADS)
def test_predictions_equal_the_plain_way(index, protocol, learner, given):
    """The plain way: each task separately, embedding all of its images. Logits agree to 1e-3 of their standard
    deviation (measured: 1e-5; float32 rounding in another batch depends on the processor), and classes agree except for
    near ties."""
    tasks, source = tasks_of(index, protocol), open_shrunk(index)
    if learner != "protonets":  # set encoders and steps are slow
        tasks = replace(tasks, tasks=tuple(shortened(task, support=16, query=8) for task in of_one_user(tasks)))
    elif protocol != "orbit-2022":  # every frame of every query video, clips of 8 frames
        tasks = replace(tasks, tasks=tuple(shortened(task, support=16, query=12) for task in tasks.tasks))
    config = with_steps(learner, 3)
    recognizer = build_recognizer(config, "tiny", weights="random", seed=1, frame_size_px=SHRUNK_PX)
    if isinstance(recognizer.adapter, FilmAdapter):  # otherwise its adaptation would be too small to matter
        for regularizer in recognizer.adapter.generator.regularizers:
            torch.nn.init.normal_(regularizer, std=0.5, generator=torch.Generator().manual_seed(1))
    table = predict(recognizer, tasks, index, source, quiet=True)
    once = torch.cat(given)
    given.clear()
    plain = predict(recognizer, tasks, index, source, plain=True, quiet=True)
    assert list(table.columns) == PREDICTION_COLUMNS.names
    rows = [(t.user, t.task, plan.video, frame) for t in tasks.tasks for plan in t.query for frame in plan.frames]
    assert list(zip(plain.user, plain.task, plain.video, plain.frame, strict=True)) == rows
    assert table[["user", "task", "video", "frame"]].equals(plain[["user", "task", "video", "frame"]])
    # the fast way loops over users, then videos, then tasks
    places = table.assign(row=range(len(table))).groupby(["user", "video", "task"], sort=True, observed=True)
    by_row = torch.empty_like(once)
    by_row[torch.from_numpy(np.concatenate([part.row.to_numpy() for _, part in places]))] = once
    for start, own in zip(np.cumsum([0, *map(len, given)]), given, strict=False):  # the plain way, one task at a time
        allowed = 1e-3 * own.std()
        part = slice(start, start + len(own))
        assert (by_row[part] - own).abs().max() <= allowed
        assert table.prediction[part].tolist() == by_row[part].argmax(1).tolist()
        best = own.topk(2, dim=1).values
        clear = (best[:, 0] - best[:, 1] > allowed).numpy()
        assert (table.prediction[part] == plain.prediction[part])[clear].all()
        assert clear.mean() > 0.9
    np.testing.assert_allclose(table.confidence, plain.confidence, atol=1e-2)


def test_raw_videos_and_other_workers_give_the_same_predictions(recognizer, index, pocket_raw):
    tasks = tasks_of(index, "orbit-2022")
    expected = predict(recognizer, tasks, index, open_shrunk(index))
    raw = open_index(pocket_raw)
    pd.testing.assert_frame_equal(predict(recognizer, tasks, raw, open_shrunk(raw), workers=1), expected)
    pd.testing.assert_frame_equal(predict(recognizer, tasks, index, open_shrunk(index), workers=2), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("learner", builtin_names("learner"))
def test_a_gpu_gives_the_cpus_predictions(index, learner):
    tasks, source = tasks_of(index, "orbit-2022", count=1), open_shrunk(index)
    recognizer = build_recognizer(
        learner, "tiny", weights="random", seed=1, frame_size_px=SHRUNK_PX
    ).double()  # no TensorFloat-32
    on_cpu = predict(recognizer, tasks, index, source, quiet=True)
    on_gpu = predict(recognizer.cuda(), tasks, index, source, workers=1, quiet=True)  # workers: pixels are pinned
    pd.testing.assert_frame_equal(on_gpu, on_cpu, atol=1e-4)


def with_steps(learner, steps):
    """With fewer steps than needed, for learners that otherwise must reach a residual."""
    config = load_learner(learner)
    settings = {"residual": None} if config.adapter == "proximal" else config.adapter_settings
    return config.model_copy(update={"steps": steps, "adapter_settings": settings})


class Blackened:
    """A source in which every frame after `last` is black, to change the future."""

    least_workers = 0

    def __init__(self, source, last):
        self.source, self.last = source, last

    def read(self, video, frames):
        pictures = self.source.read(video, frames)
        if "--clutter--" in video:
            pictures[np.array(frames) > self.last] = 0
        return pictures


@pytest.mark.parametrize("protocol", ["orbit-2022", "orbit-2021-clu-ve"])
def test_future_frames_never_change_earlier_predictions(recognizer, index, protocol):
    """A frame's prediction may only use that frame and earlier frames of its video."""
    tasks, source = tasks_of(index, protocol, count=1), open_shrunk(index)
    tasks = replace(tasks, tasks=of_one_user(tasks))
    whole = predict(recognizer, tasks, index, source)
    cut = predict(recognizer, tasks, index, Blackened(source, last=40))
    before = whole.frame <= 40
    pd.testing.assert_frame_equal(cut[before], whole[before], atol=1e-5)
    assert not np.allclose(cut.confidence[~before], whole.confidence[~before], atol=1e-5)


def test_cutting_a_plan_short_never_changes_earlier_predictions(recognizer, index):
    recognizer = deepcopy(recognizer).double()  # otherwise rounding in another batch could change near ties
    tasks = tasks_of(index, "orbit-2021-clu-ve", count=1)
    tasks = replace(tasks, tasks=tuple(shortened(task, support=16, query=60) for task in of_one_user(tasks)))
    short = [
        replace(task, query=tuple(replace(plan, frames=plan.frames[:30]) for plan in task.query))
        for task in tasks.tasks
    ]
    whole = predict(recognizer, tasks, index, open_shrunk(index))
    cut = predict(recognizer, replace(tasks, tasks=tuple(short)), index, open_shrunk(index))
    expected = whole[whole.frame <= 30].reset_index(drop=True)
    pd.testing.assert_frame_equal(cut, expected, rtol=1e-6)


def test_each_frame_is_embedded_once_for_all_tasks(recognizer, index, monkeypatch):
    embedded = []
    embed_by = recognizer.embed_by
    monkeypatch.setattr(
        type(recognizer),
        "embed_by",
        lambda self, by, items, **how: (embedded.append(len(items)), embed_by(by, items, **how))[1],
    )
    tasks = tasks_of(index, "orbit-2022", count=20)
    predict(recognizer, tasks, index, open_shrunk(index))
    query = {(plan.video, frame) for task in tasks.tasks for plan in task.query for frame in plan.frames}
    support = {(plan.video, frame) for task in tasks.tasks for plan in task.support for frame in plan.frames}
    assert sum(embedded) == len(query) + len(support)


def test_tasks_of_another_tree_are_refused(recognizer, index):
    other = replace(tasks_of(index, "orbit-2022"), data_fingerprint="another")
    with pytest.raises(DataError, match="these tasks were drawn from another tree"):
        predict(recognizer, other, index, open_shrunk(index))


def test_personal_predictions_depend_on_the_support_set(recognizer, index):
    """Permuting the support labels permutes the predictions: only the support set defines the classes."""
    tasks = tasks_of(index, "orbit-2022", count=1)
    turned = [
        replace(task, support=tuple(replace(plan, label=(plan.label + 1) % task.way) for plan in task.support))
        for task in tasks.tasks
    ]
    plain = predict(recognizer, tasks, index, open_shrunk(index))
    other = predict(recognizer, replace(tasks, tasks=tuple(turned)), index, open_shrunk(index))
    assert torch.equal(torch.tensor((plain.prediction + 1) % 3), torch.tensor(other.prediction))


class Counted:
    """A source of black frames that counts how many of its frames are still in memory."""

    least_workers = 0

    def __init__(self):
        self.held = self.most = self.given = 0

    def read(self, video, frames):
        pictures = np.zeros((len(frames), SMALL_PX, SMALL_PX, 3), np.uint8)
        weakref.finalize(pictures, self._let_go, len(frames))
        self.held, self.given = self.held + len(frames), self.given + len(frames)
        self.most = max(self.most, self.held)
        return pictures

    def _let_go(self, frames):
        self.held -= frames


@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_memory_is_bounded_by_one_user_also_one_with_89_clutter_videos(learner):
    """Like ORBIT's P204; a second user must not add to the memory."""
    objects, support_frames = 9, 5
    tasks = []
    for user in ("P204", "P999"):
        names = [f"{user}--{k % objects}--clutter--{k}" for k in range(89)]
        for number in range(3):
            support = tuple(
                VideoPlan(f"{user}--{k}--clean--x", k, tuple(range(1, support_frames + 1))) for k in range(objects)
            )
            query = tuple(VideoPlan(name, k % objects, tuple(range(1, 71))) for k, name in enumerate(names))
            tasks.append(Task(user, number, tuple(map(str, range(objects))), support, query))
    index = Index(Path("made"), "frames", ())
    task_set = TaskSet(
        protocol="orbit-2022",
        split="test",
        seed=0,
        every_query_frame=False,
        data_fingerprint=index.fingerprint,
        tasks=tuple(tasks),
        left_out=(),
    )
    source = Counted()
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=SMALL_PX)
    table = predict(recognizer, task_set, index, source, quiet=True)
    assert len(table) == 2 * 3 * 89 * 70
    assert source.given == 2 * (objects * support_frames + 89 * 70)  # each frame once for all three tasks
    assert source.most <= objects * support_frames + 2 * FRAMES_A_JOB


@pytest.mark.parametrize("learner", builtin_names("learner"))
def test_one_personalization_a_support_set_and_one_embedding_a_frame_and_state(learner, monkeypatch):
    """One user's three tasks share a support set; another user's third task has its own support set and frames."""
    shared, own = (tuple(VideoPlan(f"{name}--{k}", k, (1, 2)) for k in range(2)) for name in ("shared", "own"))

    def task(user, number, support, frames):
        return Task(user, number, ("a", "b"), support, (VideoPlan(f"{user}--q", 0, frames),))

    tasks = [task("P1", k, shared, tuple(range(1 + k, 81 + k))) for k in range(3)]
    tasks += [task("P2", k, shared, tuple(range(1 + k, 81 + k))) for k in range(2)] + [task("P2", 2, own, (1, 99))]
    config = with_steps(learner, 1)
    recognizer = build_recognizer(config, "tiny", weights="random", frame_size_px=SMALL_PX)
    personalized, embedded = [], []
    personalize, embed = Recognizer.personalize, FittedRecognizer.embed
    monkeypatch.setattr(
        Recognizer, "personalize", lambda *a, **how: (personalized.append(1), personalize(*a, **how))[1]
    )
    monkeypatch.setattr(FittedRecognizer, "embed", lambda *a, **how: (embedded.append(len(a[1])), embed(*a, **how))[1])
    index = Index(Path("made"), "frames", ())
    task_set = TaskSet("orbit-2022", "test", 0, False, index.fingerprint, (), tuple(tasks))
    predict(recognizer, task_set, index, Counted(), quiet=True)
    assert len(personalized) == 1 + 2
    # P1: frames 1 to 82. P2: 1 to 81 and 99 in one state; if the learner adapts, 1 to 81 in one state and two in the
    # other
    assert sum(embedded) == 82 + (81 + 2 if not recognizer.shares_features else 82)
