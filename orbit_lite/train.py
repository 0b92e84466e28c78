"""Meta-training: the loop. Its arithmetic, with the 2023 leaderboard settings:

44 train users * 50 tasks an epoch = 2,200 tasks; 2,200 / 16 tasks a step = 138 steps, the last one short.

Every random draw is keyed by what it draws (task by user and number, LITE's subset by task), so there is no random state
to carry: a run that was cut off goes on from its last checkpoint with the very same draws, on any number of workers.
"""

import csv
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_prep.index import Index, open_index
from eval.records import Task
from eval.score import score
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import whole_file, write_text
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.config import ExperimentConfig, load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import ReadTask, read_ahead
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.lite import GradientChunks, task_gradient
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.optimizer import build_optimizer, learning_rate, set_learning_rate
from orbit_lite.predict import predict
from orbit_lite.run_folder import RunFolder

BEST_NAME = "best.safetensors"
STATE_NAME = "state.pt"
CURVE_NAME = "training.csv"
CURVE_COLUMNS = ("step", "epoch", "learning_rate", "loss", "accuracy", "validation_frame_accuracy")
CHECKPOINT_EVERY_S = 60.0
STATE_FORMAT = 1


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended: its best validation frame accuracy (a fraction), at which step, and where the weights are."""

    best: Path
    best_step: int
    validation_frame_accuracy: float
    steps: int


@dataclass(frozen=True)
class TrainingTasks:
    """All tasks of the run in order, drawn when asked for: a sequence, so that workers can share it out."""

    drawer: TaskDrawer
    epochs: int
    start: int = 0

    @property
    def an_epoch(self) -> int:
        """Tasks in one epoch: each train user's, in an order drawn anew for each epoch."""
        return len(self.drawer.users) * self.drawer.plan.tasks_per_user

    def __len__(self) -> int:
        return self.epochs * self.an_epoch - self.start

    def __getitem__(self, number: int) -> Task:
        epoch, place = divmod(self.start + number, self.an_epoch)
        if epoch >= self.epochs:
            raise IndexError(number)
        order = keyed_rng(self.drawer.seed, "order", epoch).permutation(self.an_epoch)
        task, user = divmod(int(order[place]), len(self.drawer.users))
        return self.drawer.draw(self.drawer.users[user], epoch * self.drawer.plan.tasks_per_user + task)


@dataclass
class Progression:
    """What changes during a run, apart from weights and optimiser: how far it is, and the best so far."""

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    curve: tuple[tuple[Any, ...], ...] = ()


def train(config: ExperimentConfig, *, data: Path, out: Path, workers: int, device: torch.device) -> TrainSummary:
    """Meta-train a recogniser on the train users, choose its best weights on the validation users.

    Args:
        config: the experiment.
        data: a frame tree or raw tree with splits.
        out: the run's folder; the same run found there goes on from its last checkpoint.
        workers: processes that read ahead; the result does not depend on them.
        device: where to compute.

    Raises:
        AskedWrong: if `out` holds another run, or the tree lacks a split.
        FoundWrong: if the data, or a checkpoint in `out`, is not what it should be, or a loss is not finite.
    """
    index = open_index(data)
    source = open_frames(index, size_px=config.frame_size_px)
    drawer = TaskDrawer(index, config.tasks, split="train", seed=config.seed)
    validate = Validation(config, index, source)
    recognizer = build_recognizer(config.learner, config.backbone, weights=config.weights, seed=config.seed).to(device)
    optimizer = build_optimizer(recognizer, config.optimizer)

    settings = {"command": "train", "config": config.model_dump(mode="json"), "data_fingerprint": index.fingerprint}
    machine = {"device": str(device), "threads": torch.get_num_threads(), "workers": workers}
    run = RunFolder(out, settings, machine=machine)
    at = load_state(out / STATE_NAME, recognizer, optimizer)
    tasks = TrainingTasks(drawer, config.epochs)
    steps_an_epoch = math.ceil(tasks.an_epoch / config.tasks_per_step)
    steps = config.epochs * steps_an_epoch
    if at.step:
        run.say(f"going on from step {at.step} of {steps}")

    pixels = read_ahead(
        TrainingTasks(drawer, config.epochs, start=_tasks_before(at.step, tasks.an_epoch, config.tasks_per_step)),
        ReadTask(source),
        workers=workers,
    )
    saved_s = time.monotonic()
    with Progress("steps", steps) as progress:
        progress.skip(at.step)
        while at.step < steps:
            epoch = at.step / steps_an_epoch
            first = _tasks_before(at.step, tasks.an_epoch, config.tasks_per_step)
            count = _tasks_before(at.step + 1, tasks.an_epoch, config.tasks_per_step) - first
            rate = learning_rate(config.optimizer, epoch, epochs=config.epochs)
            set_learning_rate(optimizer, rate)
            loss, accuracy = 0.0, 0.0
            for number in range(first, first + count):
                # The step's gradient is the mean over its tasks, also in the short last step of an epoch.
                result = task_gradient(
                    recognizer,
                    next(pixels).to(device),
                    estimator=config.lite.estimator,
                    h=config.lite.h,
                    chunks=GradientChunks(config.lite.encode_chunk, config.lite.gradient_chunk),
                    rng=keyed_rng(config.seed, "lite", number),
                    loss_scale=1 / count,
                )
                if not math.isfinite(result.loss):
                    raise FoundWrong(f"{out}: the loss of task {number} is {result.loss}; lower optimizer.lr")
                loss += result.loss / count
                accuracy += result.accuracy / count
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            at.step += 1
            progress.advance(1, note=f"loss {loss:.3f}, query accuracy {100 * accuracy:.0f} %")

            ended, over = divmod(at.step, steps_an_epoch)
            due = over == 0 and (ended % config.validation.every_epochs == 0 or at.step == steps)
            found = validate(recognizer) if due else None
            at.curve += ((at.step, round(epoch, 4), rate, loss, accuracy, "" if found is None else found),)
            if found is not None:
                run.say(f"epoch {ended} of {config.epochs}: loss {loss:.3f}, validation frame accuracy {found:.4f}")
                if found > at.best:
                    at.best, at.best_step = found, at.step
                    meta = {"step": at.step, "validation_frame_accuracy": found, "data_fingerprint": index.fingerprint}
                    save_recognizer(out / BEST_NAME, recognizer, config=config.model_dump(mode="json"), meta=meta)
            if due or at.step == steps or time.monotonic() - saved_s > CHECKPOINT_EVERY_S:
                save_state(out / STATE_NAME, recognizer, optimizer, at)
                write_curve(out / CURVE_NAME, at.curve)
                saved_s = time.monotonic()
    return TrainSummary(out / BEST_NAME, at.best_step, at.best, steps)


class Validation:
    """Frame accuracy on validation users, the mean over videos: what the best weights are chosen by."""

    def __init__(self, config: ExperimentConfig, index: Index, source: FrameSource) -> None:
        protocol = load_protocol(config.validation.protocol)
        drawer = TaskDrawer(index, protocol, split="validation", seed=config.seed)
        self._tasks = drawer.draw_all(tasks_per_user=config.validation.tasks_per_user)
        self._index, self._source = index, source

    def __call__(self, recognizer: Recognizer) -> float:
        """The mean over all videos of all tasks, in [0, 1]."""
        predictions = predict(recognizer, self._tasks, self._index, self._source, quiet=True)
        return score(self._tasks, predictions).overall["frame_accuracy"].per_video.mean


def _tasks_before(step: int, tasks_an_epoch: int, tasks_a_step: int) -> int:
    """Tasks used up before a step (from 0). The last step of each epoch is short where it does not divide."""
    epoch, within = divmod(step, math.ceil(tasks_an_epoch / tasks_a_step))
    return epoch * tasks_an_epoch + within * tasks_a_step


def save_state(path: Path, recognizer: Recognizer, optimizer: torch.optim.Optimizer, at: Progression) -> None:
    """All that a run needs to go on, in one file, whole or not at all."""
    content = {
        "format": STATE_FORMAT,
        "step": at.step,
        "best": at.best,
        "best_step": at.best_step,
        "curve": [list(row) for row in at.curve],
        "recognizer": recognizer.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with whole_file(path) as file:
        torch.save(content, file)


def load_state(path: Path, recognizer: Recognizer, optimizer: torch.optim.Optimizer) -> Progression:
    """Put a run's last state back, or start at step 0 where there is none.

    Raises:
        FoundWrong: if the file is damaged or of another version.
    """
    if not path.is_file():
        return Progression()
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != STATE_FORMAT:
            raise FoundWrong(f"{path}: state format {content['format']}, this version reads {STATE_FORMAT}")
        recognizer.load_state_dict(content["recognizer"])
        optimizer.load_state_dict(content["optimizer"])
        curve = tuple(tuple(row) for row in content["curve"])
        return Progression(content["step"], content["best"], content["best_step"], curve)
    except FoundWrong:
        raise
    except Exception as error:  # torch.load's errors for a damaged file are of many kinds
        raise FoundWrong(f"{path}: not a state this run can go on from ({type(error).__name__}); delete it to start anew") from error


def write_curve(path: Path, curve: Sequence[Sequence[Any]]) -> None:
    """The training curve as CSV, one row a step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CURVE_COLUMNS)
    writer.writerows(curve)
    write_text(path, text.getvalue())
