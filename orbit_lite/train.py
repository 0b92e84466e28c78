"""Meta-training: the loop. Its arithmetic, with the 2023 leaderboard settings:

44 train users * 50 tasks an epoch = 2,200 tasks; 2,200 / 16 tasks a step = 138 steps, the last one short.

Every random draw is keyed by what it draws (a task by user and number, LITE's subset by task), so there is no random
state to carry: a run that was cut off goes on from its last checkpoint with the very same draws, on any number of
workers.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_prep.index import Index, open_index
from eval.records import Task
from eval.score import score
from groundwork.errors import FoundWrong
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.config import ExperimentConfig, LiteConfig, load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import ReadTask, read_ahead
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.lite import GPU_CHUNKS, GradientChunks, TaskLoss, TaskPixels, task_gradient
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.optimizer import build_optimizer, learning_rate, set_learning_rate
from orbit_lite.predict import predict
from orbit_lite.run_folder import RunFolder
from orbit_lite.training_state import load_state, save_state, write_curve

BEST_NAME = "best.safetensors"
STATE_NAME = "state.pt"
CURVE_NAME = "training.csv"
CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended: the best weights, the step they are of, and their validation frame accuracy (a fraction)."""

    best: Path
    best_step: int
    validation_frame_accuracy: float
    steps: int


@dataclass(frozen=True)
class Steps:
    """Which tasks, counted through the whole run, each step takes. The last step of an epoch may be short."""

    tasks_an_epoch: int
    tasks_a_step: int
    epochs: int

    @property
    def an_epoch(self) -> int:
        """Steps in one epoch."""
        return math.ceil(self.tasks_an_epoch / self.tasks_a_step)

    @property
    def total(self) -> int:
        """Steps in the run."""
        return self.epochs * self.an_epoch

    def tasks_of(self, step: int) -> range:
        """Numbers of a step's tasks; steps count from 0."""
        epoch, within = divmod(step, self.an_epoch)
        first = within * self.tasks_a_step
        after = min(first + self.tasks_a_step, self.tasks_an_epoch)
        return range(epoch * self.tasks_an_epoch + first, epoch * self.tasks_an_epoch + after)


@dataclass(frozen=True)
class TrainingTasks:
    """The run's tasks from number `start` on, each drawn when it is asked for: so workers can share them out."""

    drawer: TaskDrawer
    epochs: int
    start: int = 0

    @property
    def an_epoch(self) -> int:
        """Tasks in one epoch: every train user's, in an order drawn anew for each epoch."""
        return len(self.drawer.users) * self.drawer.plan.tasks_per_user

    def __len__(self) -> int:
        return self.epochs * self.an_epoch - self.start

    def __getitem__(self, place: int) -> Task:
        if place >= len(self):
            raise IndexError(place)
        epoch, within = divmod(self.start + place, self.an_epoch)
        order = keyed_rng(self.drawer.seed, "order", epoch).permutation(self.an_epoch)
        task, user = divmod(int(order[within]), len(self.drawer.users))
        return self.drawer.draw(self.drawer.users[user], epoch * self.drawer.plan.tasks_per_user + task)


def train(config: ExperimentConfig, *, data: Path, out: Path, workers: int, device: torch.device) -> TrainSummary:
    """Meta-train a recogniser on the train users, and keep the weights that are best on the validation users.

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
    tasks = TrainingTasks(TaskDrawer(index, config.tasks, split="train", seed=config.seed), config.epochs)
    validate = Validation(config, index, source, workers=workers)
    recognizer = build_recognizer(
        config.learner,
        config.backbone,
        weights=config.weights,
        seed=config.seed,
        frame_size_px=config.frame_size_px,
    ).to(device)
    optimizer = build_optimizer(recognizer, config.optimizer)

    settings = {"command": "train", "config": config.model_dump(mode="json"), "data_fingerprint": index.fingerprint}
    machine = {"device": str(device), "threads": torch.get_num_threads(), "workers": workers}
    run = RunFolder(out, settings, machine=machine)
    state = load_state(out / STATE_NAME, recognizer, optimizer)
    steps = Steps(tasks.an_epoch, config.tasks_per_step, config.epochs)
    if state.step:
        run.say(f"going on from step {state.step} of {steps.total}")
    # A finished run has no task left to start from.
    start = steps.tasks_of(state.step).start if state.step < steps.total else len(tasks)
    workers = max(workers, source.least_workers)
    pixels = read_ahead(replace(tasks, start=start), ReadTask(source), workers=workers)
    saved_s = time.monotonic()
    with Progress("steps", steps.total) as progress:
        progress.skip(state.step)
        for step in range(state.step, steps.total):
            epoch = step / steps.an_epoch
            rate = learning_rate(config.optimizer, epoch, epochs=config.epochs)
            set_learning_rate(optimizer, rate)
            done = step_gradient(recognizer, pixels, steps.tasks_of(step), lite=config.lite, seed=config.seed)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            progress.advance(1, note=f"loss {done.loss:.3f}, query accuracy {100 * done.accuracy:.0f} %")

            epochs_done, within = divmod(step + 1, steps.an_epoch)
            last = step + 1 == steps.total
            due = last or (within == 0 and epochs_done % config.validation.every_epochs == 0)
            found = validate(recognizer) if due else None
            row = (step + 1, round(epoch, 4), rate, done.loss, done.accuracy, found)
            state = replace(state, step=step + 1, curve=(*state.curve, row))
            if found is not None:
                run.say(f"epoch {epochs_done} of {config.epochs}: validation frame accuracy {100 * found:.1f} %")
                if found > state.best:
                    state = replace(state, best=found, best_step=step + 1)
                    meta = {"step": step + 1, "validation_frame_accuracy": found, "data": index.fingerprint}
                    save_recognizer(out / BEST_NAME, recognizer, config=config.model_dump(mode="json"), meta=meta)
            if due or time.monotonic() - saved_s > CHECKPOINT_EVERY_S:
                save_state(out / STATE_NAME, state, recognizer, optimizer)
                write_curve(out / CURVE_NAME, state.curve)
                saved_s = time.monotonic()
    return TrainSummary(out / BEST_NAME, state.best_step, state.best, steps.total)


def step_gradient(
    recognizer: Recognizer, pixels: Iterator[TaskPixels], numbers: range, *, lite: LiteConfig, seed: int
) -> TaskLoss:
    """Add one step's gradient, the mean over its tasks (also in a short step), and give mean loss and accuracy.

    Raises:
        FoundWrong: if a task's loss, or the gradient of the step, is not finite; names the task by number.
    """
    done = []
    for number in numbers:
        result = task_gradient(
            recognizer,
            next(pixels),
            estimator=lite.estimator,
            h=lite.h,
            chunks=gradient_chunks(lite, recognizer.device),
            rng=keyed_rng(seed, "lite", number),
            loss_scale=1 / len(numbers),
            bf16=recognizer.device.type == "cuda",
        )
        if not math.isfinite(result.loss):
            raise FoundWrong(f"training task {number}: its loss is {result.loss}; a lower optimizer.lr may help")
        done.append(result)
    gradients = [parameter.grad for parameter in recognizer.parameters() if parameter.grad is not None]
    if not math.isfinite(torch.nn.utils.get_total_norm(gradients)):
        raise FoundWrong(f"training tasks {numbers.start} to {numbers.stop - 1}: their gradient is not finite")
    return TaskLoss(sum(r.loss for r in done) / len(done), sum(r.accuracy for r in done) / len(done))


def gradient_chunks(lite: LiteConfig, device: torch.device) -> GradientChunks:
    """The config's chunks, and where it leaves one open, what the device is quick with."""
    usual = GradientChunks() if device.type == "cpu" else GPU_CHUNKS
    return GradientChunks(
        no_graph=lite.encode_chunk or usual.no_graph,
        with_graph=lite.gradient_chunk or usual.with_graph,
        query=lite.query_batch or usual.query,
    )


class Validation:
    """Frame accuracy on validation users, the mean over videos: what the best weights are chosen by."""

    def __init__(self, config: ExperimentConfig, index: Index, source: FrameSource, *, workers: int) -> None:
        protocol = load_protocol(config.validation.protocol)
        drawer = TaskDrawer(index, protocol, split="validation", seed=config.seed)
        self._tasks = drawer.draw_all(tasks_per_user=config.validation.tasks_per_user)
        self._index, self._source, self._workers = index, source, workers

    def __call__(self, recognizer: Recognizer) -> float:
        """The mean over all videos of all tasks, in [0, 1]."""
        predictions = predict(recognizer, self._tasks, self._index, self._source, workers=self._workers, quiet=True)
        return score(self._tasks, predictions).overall.frame_accuracy.per_video.mean
