"""The starting model of a personal recognizer: its origin, whether it is good enough, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orbit_lite.models.checkpoint import read_checkpoint_info
from orbit_lite.models.choice import ModelChoice

# Smallest share of the way from chance to 100 % that the accuracy on validation users must have covered.
LEAST_LEARNED = 0.1


@dataclass(frozen=True)
class PlaceLoss:
    """The loss of frame accuracy in a new place, compared with another video of the same place, in points.

    least, most: the smallest and largest loss of the runs. data: what it was measured on. pairs: how much too high the
    estimate was if each object had two videos, both of one place (mean of 100 runs).
    """

    points: float
    least: float
    most: float
    runs: int
    data: str
    pairs: float


# By learner, backbone and weights: `python -m benchmarks real`, in benchmarks/results. Personal files of earlier
# releases start from `ridge`.
PLACE_LOSSES = {
    ("ridge_two_views", "efficientnet_lite0", "pretrained"): PlaceLoss(
        4.4, 2, 8, 10, "still photos of 5 users' groceries", pairs=2
    ),
    ("ridge", "efficientnet_lite0", "pretrained"): PlaceLoss(
        9.6, 5, 15, 10, "still photos of 5 users' groceries", pairs=6
    ),
}


def describe_start(model: ModelChoice) -> dict[str, Any]:
    """The description of the starting model in a personal file, as plain JSON: `model` and `config`."""
    described = model.describe()
    config: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    if "checkpoint" in described:
        info = read_checkpoint_info(Path(model.model))
        config = info.config
        meta = {
            "validation_frame_accuracy": info.validation_frame_accuracy,
            "validation_chance": info.validation_chance,
        }
    return {"model": described | meta, "config": config}


def weak_start(origin: Mapping[str, Any]) -> str:
    """A sentence on why a recognizer from this starting model is likely to be poor; "" if there is no sign of it."""
    model = origin.get("model", {})
    if model.get("weights") == "random":
        return (
            "It starts from random weights, which know nothing about images: start from a checkpoint, or leave out "
            "--model."
        )
    score, chance = model.get("validation_frame_accuracy"), model.get("validation_chance")
    if score is None or chance is None or score >= chance + LEAST_LEARNED * (1 - chance):
        return ""
    return (
        f"The checkpoint recognized {100 * score:.0f} % of validation users' frames; guessing gets {100 * chance:.0f} "
        "%. Start from another one; filming again would not help."
    )


def place_loss(origin: Mapping[str, Any]) -> PlaceLoss | None:
    """The measured loss in a new place; None if it was not measured for this starting model."""
    model = origin.get("model", {})
    return PLACE_LOSSES.get((model.get("learner"), model.get("backbone"), model.get("weights")))
