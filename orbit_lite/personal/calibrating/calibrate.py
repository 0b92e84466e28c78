"""Calibrates how a user's scores become answers, and what can be promised about them, with only the teaching videos.

Videos are held out by likeness (see `leave_out`), because answers must hold in a new place. Unknown things are
simulated with the user's own objects: each object in turn is left out and shown to a recognizer of the others, which is
calibrated in the same way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eval.calibration import expected_calibration_error
from eval.intervals import wilson_interval
from groundwork.progress import Progress
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.calibrating.leave_out import (
    HeadTeaching,
    HeldOut,
    hold_out,
    rounds_by_likeness,
    rounds_of_single_videos,
)
from orbit_lite.personal.decision.calibration import UNCALIBRATED, Calibration, Estimate
from orbit_lite.personal.decision.confidence import confidences, fit_temperature
from orbit_lite.personal.decision.familiarity import Familiarity, weights_by_video
from orbit_lite.personal.decision.rejection import (
    CURVE_AIMS,
    HeldOutFamiliarity,
    OperatingPoint,
    Rejection,
    cross_fitted_refusals,
)
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo

Scores = tuple[NDArray[np.float64], NDArray[np.float64]]  # logits (m, way) and cosines (m,)
MOST_LEFT_OUT = 16  # objects to leave out in turn; if there are more, 16 are chosen evenly from the sorted names
LONG_FRAMES = 1_000  # with fewer frames it takes a second or two, and no progress is shown
LEAST_OBJECTS_LEFT = 2  # that must remain when one is left out
# Used if nothing can be held out: the lowest cosine to an object's mean, by backbone, weights and middle view. Chosen
# on five users' photos, leaving out one user in turn: 99 % of the pictures of their things pass, and 1 % of pictures of
# things of another kind.
LEAST_COSINES = {("efficientnet_lite0", "pretrained", None): 0.525, ("efficientnet_lite0", "pretrained", 0.6): 0.55}


def calibrate(recognizer: Recognizer, support: SupportSet, *, origin: Mapping[str, Any]) -> Calibration:
    """Hold videos out and set everything that answers depend on.

    Args:
        recognizer: the recognizer that embedded the support set; only its head is fitted again.
        support: with at least two objects; otherwise nothing can be calibrated.
        origin: see PersonalRecognizer.
    """
    if support.way < LEAST_OBJECTS_LEFT:
        return UNCALIBRATED
    found = calibrate_head(HeadTeaching.settled(recognizer, support.with_grouped_photos))
    return found or Calibration(rejection=_untested(recognizer, origin))


def calibrate_head(teaching: HeadTeaching) -> Calibration | None:
    """Calibrate a head, which knows two or more objects; None if no video can be held out."""
    support = teaching.support
    rounds = rounds_by_likeness(support.videos, support.features)
    held = hold_out(teaching, rounds)
    if not held.videos:
        return None
    singles = hold_out(teaching, rounds_of_single_videos(support.videos))
    of_known = Familiarity.of_held_out(held.logits.max(axis=1), held.cosine)
    known = held_out_familiarity(of_known, held)
    left_out = _leave_each_out(teaching, rounds)
    return Calibration(
        temperature=fit_temperature(held.logits, held.label, weights_by_video(held.video)),
        familiarity=of_known,
        rejection=Rejection(
            curve=_curve(known, left_out, support.way),
            auroc=float(np.mean([found.auroc for found in left_out])) if left_out else None,
            videos=held.videos,
            frames=len(held.frame),
        ),
        estimate=estimate(held, singles, support.videos),
    )


def estimate(held: HeldOut, singles: HeldOut, videos: Sequence[TaughtVideo]) -> Estimate:
    """Estimate the accuracy on new videos.

    The interval runs from the lower end of Wilson's interval for videos held out by likeness to its upper end for
    videos held out one at a time, with each video counted once, because a new place may look like the teaching videos
    or unlike all of them. If no object has three videos, each held-out video was judged by a recognizer taught with a
    single one; taught with both, it makes about half as many errors if they show two places. The upper end allows for
    this.

    Args:
        held: at least one video, held out by likeness.
        singles: the same videos, held out one at a time.
        videos: all videos.
    """
    accuracy, same_place, count = float(held.right.mean()), float(singles.right.mean()), held.videos
    pairs = max(Counter(video.object for video in videos).values()) < 3
    best = max(accuracy, same_place)
    if pairs:
        best = (1 + best) / 2
    return Estimate(
        accuracy=accuracy,
        low=wilson_interval(accuracy * count, count)[0],
        high=wilson_interval(best * count, count)[1],
        same_place=same_place,
        chance=1 / held.logits.shape[1],
        ece=_cross_fitted_ece(held),
        videos=count,
        frames=len(held.frame),
        pairs=pairs,
    )


@dataclass(frozen=True, eq=False)
class _LeftOutObject:
    """How familiar a left-out object looked to a recognizer of the other objects.

    known: held-out frames of the other objects. passed: familiarity of the left-out object's frames, (m,). weights:
    their weights, with sum 1. auroc: of known against left-out frames, both judged by the same recognizers.
    """

    known: HeldOutFamiliarity
    passed: NDArray[np.float64]
    weights: NDArray[np.float64]
    auroc: float

    def false_alarms(self, aims: Sequence[float]) -> NDArray[np.float64]:
        """Share of the left-out object's frames that get another object's name, for each aim."""
        return np.asarray(self.weights @ (self.passed[:, None] >= self.known.thresholds(aims)))


def _leave_each_out(teaching: HeadTeaching, rounds: Sequence[Sequence[int]]) -> list[_LeftOutObject]:
    """Leave objects out in turn; skip those without which nothing can be held out."""
    names = _objects_to_leave_out(teaching.support.objects)
    found = []
    with Progress(
        "objects left out in turn", len(names), quiet=len(teaching.support.features) < LONG_FRAMES
    ) as progress:
        for name in names:
            found.append(_leave_out(teaching, name, rounds))
            progress.advance()
    return [left_out for left_out in found if left_out is not None]


def _leave_out(teaching: HeadTeaching, name: str, rounds: Sequence[Sequence[int]]) -> _LeftOutObject | None:
    """Leave an object out; None if no other object has two videos, so that none can be held out."""
    from sklearn.metrics import roc_auc_score  # takes a second to import

    support = teaching.support
    others, own = support.without([name]), support.only([name])
    rest = HeadTeaching(teaching.head, others, teaching.device)
    kept = {place: number for number, place in enumerate(_places_without(support, name))}
    of_others = [[kept[place] for place in held if place in kept] for held in rounds]
    if not any(of_others):
        return None
    shown = [_held_out_features(support, name, places) for places in rounds]
    left_out_scores: list[Scores] = []
    held = hold_out(
        rest, of_others, taught_in=lambda number, taught: left_out_scores.append(taught.scores(shown[number]))
    )
    of_known = Familiarity.of_held_out(held.logits.max(axis=1), held.cosine)
    known = held_out_familiarity(of_known, held)
    areas = []
    for number, (logits, cosine) in enumerate(left_out_scores):
        values = known.values[held.round == number], of_known(logits.max(axis=1), cosine)
        if all(map(len, values)):
            areas.append(roc_auc_score(np.repeat([1, 0], list(map(len, values))), np.concatenate(values)))
    logits, cosine = rest.teach(torch.ones(len(others.features), dtype=torch.bool)).scores(own.features)
    weights = weights_by_video(own.video_numbers.numpy())
    return _LeftOutObject(known, of_known(logits.max(axis=1), cosine), weights / weights.sum(), float(np.mean(areas)))


def _held_out_features(support: SupportSet, name: str, places: Sequence[int]) -> Tensor:
    """The features of the object's frames that a round holds out, or all of them if it has a single video."""
    own = support.labels == support.objects.index(name)
    held = own & torch.isin(support.video_numbers, torch.tensor(places))
    return support.features[held if held.any() else own]


def _curve(known: HeldOutFamiliarity, left_out: Sequence[_LeftOutObject], way: int) -> tuple[OperatingPoint, ...]:
    thresholds, sure = known.thresholds(CURVE_AIMS), known.sure_thresholds(CURVE_AIMS)
    refused = cross_fitted_refusals(known, CURVE_AIMS)
    weights = weights_by_video(known.videos) / known.count
    misses = None if refused is None else weights @ refused
    passed = np.mean([found.false_alarms(CURVE_AIMS) for found in left_out], axis=0) if left_out else None
    floor = 1 / (way + 1)  # with so few objects, a rarer event can't be estimated
    return tuple(
        OperatingPoint(
            aim=aim,
            threshold=float(thresholds[number]),
            sure_threshold=float(sure[number]),
            misses=None if misses is None else float(misses[number]),
            false_alarms=max(float(passed[number]), floor) if passed is not None else None,
        )
        for number, aim in enumerate(CURVE_AIMS)
    )


def held_out_familiarity(of_known: Familiarity, held: HeldOut) -> HeldOutFamiliarity:
    """How familiar held-out frames are."""
    return HeldOutFamiliarity(of_known(held.logits.max(axis=1), held.cosine), held.video)


def _cross_fitted_ece(held: HeldOut) -> float:
    """Calibration error of the confidences, with each round's temperature fitted on the other round's frames."""
    sure = np.zeros(len(held.frame))
    for number in np.unique(held.round):
        own = held.round == number
        rest = ~own if (~own).any() else own
        temperature = fit_temperature(held.logits[rest], held.label[rest], weights_by_video(held.video[rest]))
        sure[own] = confidences(held.logits[own], temperature).max(axis=1)
    return expected_calibration_error(sure, held.right)


def _untested(recognizer: Recognizer, origin: Mapping[str, Any]) -> Rejection:
    model = origin.get("model", {})
    middle_view = model.get("composition", {}).get("middle_view")
    least = LEAST_COSINES.get((model.get("backbone"), model.get("weights"), middle_view))
    if least is None or not recognizer.shares_features:
        return Rejection()
    return Rejection(otherwise=OperatingPoint(aim=None, threshold=least, sure_threshold=None))


def _objects_to_leave_out(objects: Sequence[str]) -> list[str]:
    if len(objects) <= LEAST_OBJECTS_LEFT:
        return []
    places = np.unique(np.linspace(0, len(objects) - 1, min(len(objects), MOST_LEFT_OUT)).round().astype(int))
    return [objects[place] for place in places]


def _places_without(support: SupportSet, name: str) -> list[int]:
    return [place for place, video in enumerate(support.videos) if video.object != name]
