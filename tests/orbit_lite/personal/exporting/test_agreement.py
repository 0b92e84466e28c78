"""Comparing an exported file with its recognizer: answers are counted as users get them, and rounding is allowed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from orbit_lite.personal.decision.calibration import Calibration
from orbit_lite.personal.decision.confidence import confidences
from orbit_lite.personal.decision.familiarity import Familiarity
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.exporting.agreement import compare, noise_images
from orbit_lite.personal.exporting.formats import Opened
from orbit_lite.personal.exporting.graph import UINT8
from orbit_lite.personal.file import load_personal

FRAMES = 20


def answering_with(logits, probabilities, familiarity):
    """A file that gives these scores, in chunks, whatever the frames."""
    place = 0

    def run(frames):
        nonlocal place
        place += len(frames)
        return tuple(scores[place - len(frames) : place] for scores in (logits, probabilities, familiarity))

    return Opened(run, {})


@pytest.fixture
def personal(noise_files):
    return load_personal(noise_files["protonets"])


def own_scores(personal):
    images = torch.from_numpy(noise_images(224))
    scores = personal.scores(images)
    return personal.fitted.logits(images).numpy(), scores.probabilities, scores.familiarity


def agreement(personal, scores):
    return compare(personal, answering_with(*scores), noise_images(224), takes=UINT8)


def test_the_recognizers_own_scores_agree_completely(personal):
    found = agreement(personal, own_scores(personal))
    assert (found.frames, found.same, found.error) == (FRAMES, 1.0, 0.0)


def test_answers_differ_if_their_certainty_or_object_does(personal):
    logits, probabilities, near = own_scores(personal)
    point = personal.rejection.point
    sure = probabilities.max(axis=1)
    kinds = np.array([point.kind(*frame) for frame in zip(near, sure, strict=True)])
    counts = {kind: int((kinds == kind).sum()) for kind in Certainty}
    assert min(counts.values()) > 0

    def same(probabilities, near):
        return round(FRAMES * agreement(personal, (logits, probabilities, near)).same)

    assert same(probabilities, near - 1e6) == counts[Certainty.NONE]  # all are none of these
    never_sure = np.where(kinds == Certainty.SURE, point.sure_threshold - 1e-6, near)
    assert same(probabilities, never_sure) == FRAMES - counts[Certainty.SURE]  # a maybe is another answer
    turned = np.roll(probabilities, 1, axis=1)
    assert same(turned, near) == counts[Certainty.NONE]  # if no object is named, the likeliest one does not matter


def test_rounding_errors_magnified_by_the_calibration_do_not_count(personal):
    """Held-out frames that all look the same give unbounded weights."""
    familiarity = Familiarity(score_weight=1e6, cosine_weight=1e6)
    personal = replace(personal, calibration=Calibration(temperature=1e-3, familiarity=familiarity))
    logits, _, near = own_scores(personal)
    rounded = logits * (1 + 1e-6 * np.sign(np.random.default_rng(0).normal(size=logits.shape)))
    shifted = near + familiarity.score_weight * (rounded.max(axis=1) - logits.max(axis=1))
    found = agreement(personal, (rounded, confidences(rounded, 1e-3), shifted))
    assert found.familiarity > 0.1 and found.error < 1e-3
    assert agreement(personal, (1.1 * logits, confidences(logits, 1e-3), near)).error > 1e-3


@pytest.mark.parametrize("output", range(3))
def test_nan_is_an_error(personal, output):
    scores = [values.copy() for values in own_scores(personal)]
    scores[output][3] = np.nan
    assert np.isnan(agreement(personal, scores).error)
