"""The meta-training loop. Its arithmetic with the 2023 leaderboard settings:

44 train users * 50 tasks per epoch = 2,200 tasks; 2,200 / 16 tasks per step = 138 steps, the last one short.

Every random draw is keyed by what it draws (a task by user and number, LITE's subset by task), so there is no random
state to save: an interrupted run resumes from its last checkpoint with the same draws, on any number of workers and, up
to the rounding of sums, ranks.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data_prep.tree.index import Index, open_index
from eval.score import score
from groundwork.cores import default_workers
from groundwork.errors import DataError
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.config import load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import TASKS_AHEAD, ReadTask, read_ahead
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.data.samplers import open_sampler
from orbit_lite.evaluation.predict import predict
from orbit_lite.models.checkpoint import build_from, save_recognizer
from orbit_lite.models.chunks import Chunks, default_chunks, has_fast_bf16
from orbit_lite.models.gradients.film_penalty import FilmPenalty
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.inputs import NotFinite, NotSolved
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.models.task_gradient import task_gradient
from orbit_lite.runs.folder import RunFolder
from orbit_lite.runs.ranks import Ranks, joined_ranks
from orbit_lite.training.experiment import ExperimentConfig, LiteConfig, experiment_with_new_keys
from orbit_lite.training.log import OnStep, step_metrics, tensorboard_log
from orbit_lite.training.longer import lengthened
from orbit_lite.training.optimizer import (
    build_optimizer,
    clamp_gradients,
    clamped_apart,
    learning_rate,
    set_learning_rate,
)
from orbit_lite.training.state import load_state, save_state, write_curve
from orbit_lite.training.tasks import ChosenTasks, Steps, TrainingTasks

BEST_NAME = "best.safetensors"
STATE_NAME = "state.pt"
CURVE_NAME = "training.csv"
CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class TrainSummary:
    """The result of a run: the best weights, their step, and their validation frame accuracy (a fraction).

    The accuracy is None if there was nothing to meta-train.
    """

    best: Path
    best_step: int
    validation_frame_accuracy: float | None
    steps: int


def train(
    config: ExperimentConfig,
    *,
    data: Path,
    out: Path,
    workers: int,
    device: torch.device,
    tensorboard: bool = False,
    more_epochs: int = 0,
    on_step: OnStep | None = None,
) -> TrainSummary:
    """Meta-train a recognizer on the train users, and keep the weights that score best on the validation users.

    Under torchrun each step's tasks are divided among the ranks; the first rank writes the files.

    Args:
        config: the experiment.
        data: a frame tree or raw tree with splits.
        out: the run's folder; if it holds the same run, this resumes from its last checkpoint.
        workers: processes per rank that read ahead; the result does not depend on them.
        device: where to compute; on GPUs with fast bfloat16 the encoders use it, unless the config says otherwise.
        tensorboard: also log to OUT/tensorboard.
        more_epochs: train the finished run in `out` for this many more epochs, regardless of the config's epochs.
        on_step: called after each step with step (from 1), epoch and metrics: `learning_rate`, `loss` and `accuracy`
            (means over the step's tasks), and after an epoch with validation `validation_frame_accuracy`. Only the
            first rank calls it. A resumed run repeats the steps since its last checkpoint. An error that it raises ends
            the run, which can be resumed as after any other stop.

    Raises:
        UsageError: if `out` holds another run, another process is using it, or the tree lacks a split.
        DataError: if the data or a checkpoint in `out` is invalid, or a loss is not finite.
    """
    with joined_ranks(device) as ranks:
        hooks = [on_step] if on_step and ranks.first else []
        if tensorboard and ranks.first:
            hooks.append(tensorboard_log(out))
        return _train(config, data, out, ranks, workers, hooks, more_epochs)


def _train(
    config: ExperimentConfig, data: Path, out: Path, ranks: Ranks, workers: int, hooks: list[OnStep], more: int
) -> TrainSummary:
    index = ranks.after_first(lambda: open_index(data))
    source = open_frames(index, size_px=config.frame_size_px)
    tasks = TrainingTasks(open_sampler(index, config.tasks, split="train", seed=config.seed))
    if more:
        config = lengthened(config, out / STATE_NAME, out / BEST_NAME, more, per_epoch=tasks.per_epoch, ranks=ranks)
    validate = Validation(config, index, source, ranks, workers=workers)
    recognizer = build_from(
        config.learner,
        config.backbone,
        weights=config.weights,
        seed=config.seed,
        frame_size_px=config.frame_size_px,
    ).to(ranks.device)

    settings = {"command": "train", "config": config.model_dump(mode="json"), "data_fingerprint": index.fingerprint}
    held = RunFolder.open(
        out,
        settings,
        machine=ranks.machine(workers=workers, engine=recognizer.engine.name),
        upgrade=lambda found: {**found, "config": experiment_with_new_keys(found.get("config"))},
    )
    with ranks.on_first(held) as run:
        say = run.log if run else _nothing

        def save_best(step: int, found: float | None) -> None:
            meta = {"step": step, "validation_frame_accuracy": found, "data": index.fingerprint}
            meta |= {"validation_chance": validate.chance} if found is not None else {}
            if ranks.first:
                save_recognizer(out / BEST_NAME, recognizer, config=config.model_dump(mode="json"), meta=meta)

        if not config.epochs:
            save_best(0, None)
            return TrainSummary(out / BEST_NAME, 0, None, 0)

        optimizer = build_optimizer(recognizer, config.optimizer)
        state = load_state(out / STATE_NAME, recognizer, optimizer)
        steps = Steps(tasks.per_epoch, config.tasks_per_step, config.epochs)
        if run and 0 < state.step < steps.total:
            run.log_resumed(f"resuming from step {state.step} of {steps.total}")
        elif run and not state.step:
            run.log_started()
        mine = [number for step in range(state.step, steps.total) for number in ranks.share(steps.tasks_of(step))]
        pixels = read_ahead(
            ChosenTasks(tasks, mine),
            ReadTask(source),
            workers=max(workers, source.least_workers),
            pin=ranks.device.type == "cuda",
            # If PyTorch's threads leave a core free, read while they compute.
            at_once=TASKS_AHEAD if ranks.device.type == "cpu" and torch.get_num_threads() >= default_workers() else 0,
        )
        saved_s = time.monotonic()
        with Progress("steps", steps.total, quiet=not ranks.first) as progress:
            progress.skip(state.step)
            for step in range(state.step, steps.total):
                epoch = step / steps.per_epoch
                rate = learning_rate(config.optimizer, epoch, epochs=config.epochs)
                set_learning_rate(optimizer, rate)
                name_of = partial(_task_name, tasks, step)
                done = step_gradient(
                    recognizer,
                    pixels,
                    steps.tasks_of(step),
                    ranks,
                    lite=config.lite,
                    seed=config.seed,
                    clamp=config.optimizer.clamp_gradient,
                    name_of=name_of,
                )
                if done.wrong_task is None:
                    optimizer.step()
                else:
                    fault = f"{name_of(done.wrong_task)}: its loss or gradient is not finite{done.reason}"
                    if not config.skip_not_finite:
                        hint = "" if done.reason else "a lower optimizer.lr may help, or "
                        raise DataError(f"{fault}; {hint}skip_not_finite=true skips such steps")
                    say(f"{fault}; step skipped")
                optimizer.zero_grad(set_to_none=True)
                progress.advance(1, note=f"loss {done.loss:.3f}, query accuracy {100 * done.accuracy:.0f} %")

                epochs_done, within = divmod(step + 1, steps.per_epoch)
                last = step + 1 == steps.total
                due = last or (within == 0 and epochs_done % config.validation.every_epochs == 0)
                found = validate(recognizer, step + 1) if due else None
                row = (step + 1, round(epoch, 4), rate, done.loss, done.accuracy, found)
                state = replace(state, step=step + 1, curve=(*state.curve, row))
                for hook in hooks:
                    hook(*step_metrics(row))
                if found is not None:
                    say(f"epoch {epochs_done} of {config.epochs}: validation frame accuracy {100 * found:.1f} %")
                    if found > state.best:
                        state = replace(state, best=found, best_step=step + 1)
                        save_best(step + 1, found)
                if ranks.first and (due or time.monotonic() - saved_s > CHECKPOINT_EVERY_S):
                    # Write the state last: an interrupted run writes everything before it again.
                    write_curve(out / CURVE_NAME, state.curve)
                    save_state(out / STATE_NAME, state, recognizer, optimizer)
                    saved_s = time.monotonic()
        return TrainSummary(out / BEST_NAME, state.best_step, state.best, steps.total)


@dataclass(frozen=True)
class StepResult:
    """How a step went.

    Attributes:
        loss, accuracy: means over the step's tasks.
        wrong_task: a task whose loss or gradient is not finite, if any.
        reason: the error that prevented a loss for that task, in parentheses; "" if none, or on another rank.
    """

    loss: float
    accuracy: float
    wrong_task: int | None
    reason: str = ""


def step_gradient(
    recognizer: Recognizer,
    pixels: Iterator[TaskPixels],
    numbers: range,
    ranks: Ranks,
    *,
    lite: LiteConfig,
    seed: int,
    clamp: float | None = None,
    name_of: Callable[[int], str] = "training task {}".format,
) -> StepResult:
    """Add one step's gradient, the mean over its tasks (even in a short step), on every rank.

    Args:
        pixels: yields this rank's share of the tasks, in order.
        numbers: the numbers of all the step's tasks.
        clamp: clamps each task's part of the mean, and then the mean, to +- this number, elementwise.
        name_of: a task's name in errors, given its number.

    Raises:
        NotSolved: if a task's problem is not solved as accurately as the learner's settings demand.
    """
    loss, accuracy, wrong, reasons = 0.0, 0.0, -1, dict[int, str]()
    for number in ranks.share(numbers):
        with clamped_apart(recognizer, clamp):
            try:
                result = task_gradient(
                    recognizer,
                    next(pixels),
                    estimator=lite.estimator,
                    h=lite.h,
                    chunks=gradient_chunks(lite, recognizer.device),
                    rng=keyed_rng(seed, "lite", number),
                    loss_scale=1 / len(numbers),
                    bf16=in_bf16(lite, recognizer.device),
                    film_penalty=FilmPenalty(lite.film_penalty, lite.film_penalty_batch),
                )
            except NotFinite as error:  # no loss yet: a head can't be fitted, or an inner loop diverges
                result, reasons[number] = TaskLoss(loss=math.nan, accuracy=0.0), f" ({error})"
            except NotSolved as error:  # not specific to one task: the learner's settings do not suit these features
                raise NotSolved(f"{name_of(number)}: {error}") from None
            loss, accuracy = loss + result.loss, accuracy + result.accuracy
            # before the clamp, which would turn infinite values into finite ones
            if wrong < 0 and not (math.isfinite(result.loss) and _finite_gradient(recognizer)):
                wrong = number
    # before the gradients are summed, after which the task could no longer be identified
    wrong = int(ranks.largest(wrong))
    ranks.sum_gradients(recognizer)
    clamp_gradients(recognizer, clamp)
    mean_loss, mean_accuracy = (total / len(numbers) for total in ranks.sum([loss, accuracy]))
    return StepResult(mean_loss, mean_accuracy, wrong if wrong >= 0 else None, reasons.get(wrong, ""))


def _task_name(tasks: TrainingTasks, step: int, number: int) -> str:
    return f"step {step + 1}, training task {number} (user {tasks.task(number).user})"


def _finite_gradient(recognizer: Recognizer) -> bool:
    gradients = [parameter.grad for parameter in recognizer.parameters() if parameter.grad is not None]
    return math.isfinite(torch.nn.utils.get_total_norm(gradients))


def _nothing(_: object) -> None:
    """Used in place of logging on all ranks but the first."""


def gradient_chunks(lite: LiteConfig, device: torch.device) -> Chunks:
    """The config's chunks, with the device's defaults for those that it leaves open."""
    return default_chunks(device, no_graph=lite.encode_chunk, with_graph=lite.gradient_chunk, query=lite.query_batch)


def in_bf16(lite: LiteConfig, device: torch.device) -> bool:
    """Whether to encode in bfloat16: as the config says, or, if it leaves that open, on GPUs with fast bfloat16."""
    return has_fast_bf16(device) if lite.bf16 is None else lite.bf16


class Validation:
    """Frame accuracy on validation users, averaged over videos, or over tasks of single images; it selects the best
    weights."""

    def __init__(
        self, config: ExperimentConfig, index: Index, source: FrameSource, ranks: Ranks, *, workers: int
    ) -> None:
        protocol = load_protocol(config.validation.protocol, config.validation.protocol_keys)
        sampler = open_sampler(index, protocol, split="validation", seed=config.seed)
        self._tasks = sampler.draw_all(tasks_per_user=config.validation.tasks_per_user)
        self._index, self._source, self._ranks, self._workers = index, source, ranks, workers

    @property
    def chance(self) -> float:
        """The score of guessing: the mean of 1 / way over all videos of all tasks."""
        return float(np.mean([1 / task.way for task in self._tasks.tasks for _ in task.query]))

    def __call__(self, recognizer: Recognizer, step: int) -> float:
        """The mean over all videos of all tasks, or over all tasks of single images, in [0, 1].

        Raises:
            DataError: if features are NaN or infinite; the message names the step.
        """
        try:
            predictions = predict(
                recognizer, self._tasks, self._index, self._source, ranks=self._ranks, workers=self._workers, quiet=True
            )
        except NotFinite as error:
            raise DataError(f"validation after step {step}: {error}") from None
        return score(self._tasks, predictions).overall.frame_accuracy.headline.mean
