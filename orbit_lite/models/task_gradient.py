"""The gradient of one task, for any learner: this checks the task, and the learner's adapter computes the gradient."""

from dataclasses import replace

import numpy as np

from groundwork.errors import DataError, UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks, default_chunks
from orbit_lite.models.gradients.film_penalty import FilmPenalty
from orbit_lite.models.gradients.lite import ESTIMATORS, Estimator, GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads.fitting import Head
from orbit_lite.models.inputs import check_images, check_labels, check_support_labels, check_videos
from orbit_lite.models.recognizer import Recognizer


def task_gradient(
    recognizer: Recognizer,
    pixels: TaskPixels,
    *,
    h: int,
    rng: np.random.Generator,
    estimator: Estimator = "lite",
    chunks: Chunks | None = None,
    loss_scale: float = 1.0,
    bf16: bool = False,
    film_penalty: FilmPenalty | None = None,
) -> TaskLoss:
    """Add one task's gradient, times `loss_scale`, to the `.grad` of the recognizer's parameters.

    Args:
        recognizer: its parameters that require a gradient get one.
        pixels: the task.
        h: how many support items (frames or clips) get a gradient with `lite`, >= 1; a number above the total means
            all.
        rng: draws these items; key it by the task, so that a run can be resumed.
        estimator: `lite`, `exact` (h is the total), or `full`.
        chunks: how many frames to encode at once; the default depends on the device.
        loss_scale: 1 / the number of tasks in a step, to sum the gradients of several tasks.
        bf16: run the encoders in bfloat16; encodings, head and gradients stay float32.
        film_penalty: for learners that generate FiLM; the default adds the published weight once to the task's loss.

    Returns:
        loss and accuracy, not scaled. The caller must check for a loss that is not finite, since it knows which task
        this is.

    Raises:
        UsageError: if h < 1, the estimator is unknown, or the learner has nothing to meta-train.
        DataError: if images, labels or videos are invalid.
    """
    if estimator not in ESTIMATORS:
        raise UsageError(f"unknown estimator {estimator!r}; known: {', '.join(ESTIMATORS)}")
    if h < 1:
        raise UsageError(f"h = {h}: LITE needs at least 1 support item with a gradient")
    _check(recognizer, pixels)
    if not any(value.requires_grad for value in recognizer.parameters()):
        raise UsageError("this learner is fitted to each support set separately and has nothing to meta-train")
    device = recognizer.device
    videos = pixels.support_videos.to(device) if pixels.support_videos is not None else None
    task = replace(pixels, support_labels=pixels.support_labels.to(device), support_videos=videos)
    plan = GradientPlan(
        estimator, h, rng, chunks or default_chunks(device), loss_scale, bf16, film_penalty or FilmPenalty()
    )
    return recognizer.adapter.gradient(recognizer.extractor, _head_in_training(recognizer, plan), task, plan)


def _head_in_training(recognizer: Recognizer, plan: GradientPlan) -> Head:
    if recognizer.learner is None or (in_training := recognizer.head_record.in_training) is None:
        return recognizer.head
    return in_training(recognizer.head, plan.estimator, own_generator(plan.rng))


def own_generator(rng: np.random.Generator) -> np.random.Generator:
    """A separate generator for the head, derived from the task's, so that the task's own draws don't change."""
    return np.random.Generator(rng.bit_generator.spawn(1)[0])


def _check(recognizer: Recognizer, pixels: TaskPixels) -> None:
    size = recognizer.extractor.frame_size_px
    check_images(pixels.support, frame_size_px=size, what="support images")
    check_images(pixels.query, frame_size_px=size, what="query images")
    check_support_labels(pixels.support_labels, items=len(pixels.support), way=pixels.way, what="support labels")
    check_videos(pixels.support_videos, pixels.support_labels, what="support videos")
    check_labels(pixels.query_labels, items=len(pixels.query), what="query labels")
    highest = int(pixels.query_labels.max())
    if highest >= pixels.way:
        raise DataError(
            f"query labels: label {highest} in a task with {pixels.way} classes; expected 0..{pixels.way - 1}"
        )
