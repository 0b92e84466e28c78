"""What is known about the starting model of a personal recognizer."""

import pytest

from groundwork.files import file_sha256
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.start import (
    LEAST_LEARNED,
    PLACE_LOSSES,
    describe_start,
    place_loss,
    weak_start,
)

EMBEDDED = {"model": EMBEDDED_START.describe()}


def of_checkpoint(score, chance):
    return {"model": {"checkpoint": "a", "validation_frame_accuracy": score, "validation_chance": chance}}


class TestWeakStart:
    @pytest.mark.parametrize(
        "origin",
        [
            {},
            {"model": {}},
            EMBEDDED,
            of_checkpoint(None, None),
            of_checkpoint(0.5, None),
            of_checkpoint(None, 0.1),
            of_checkpoint(0.55, 0.5),  # a tenth of the way from .5 to 1
            of_checkpoint(0.8, 0.1),
        ],
    )
    def test_good_and_unknown_starts_are_not_reported(self, origin):
        assert weak_start(origin) == ""

    def test_random_weights_are_reported(self):
        model = {"model": ModelChoice("protonets", "tiny", "random").describe()}
        assert "random weights, which know nothing about images" in weak_start(model)

    def test_a_checkpoint_near_chance_is_named_with_both_numbers(self):
        output = weak_start(of_checkpoint(0.54, 0.5))
        assert "recognized 54 % of validation users' frames; guessing gets 50 %" in output
        assert "filming again would not help" in output
        assert LEAST_LEARNED == 0.1


class TestPlaceLoss:
    def test_it_depends_on_learner_backbone_and_weights(self):
        known = place_loss(EMBEDDED)
        assert known is PLACE_LOSSES["ridge_two_views", "efficientnet_lite0", "pretrained"]
        for key in ("learner", "backbone", "weights"):
            assert place_loss({"model": EMBEDDED["model"] | {key: "another"}}) is None
        assert place_loss({}) is None and place_loss(of_checkpoint(0.9, 0.1)) is None

    def test_each_lies_within_its_runs(self):
        for loss in PLACE_LOSSES.values():
            assert loss.least <= loss.points <= loss.most and loss.runs > 1 and loss.data


def test_personal_files_of_earlier_releases_have_the_numbers_of_their_own_start():
    earlier = place_loss({"model": EMBEDDED["model"] | {"learner": "ridge"}})
    assert earlier is PLACE_LOSSES["ridge", "efficientnet_lite0", "pretrained"] is not place_loss(EMBEDDED)


class TestDescribe:
    def test_a_learner_by_its_composition(self):
        model = ModelChoice("protonets", "tiny", "random")
        assert describe_start(model) == {"model": model.describe(), "config": {}}
        assert "random weights" in weak_start(describe_start(model))

    @pytest.mark.parametrize(("score", "chance", "weak"), [(0.62, 0.2, False), (0.22, 0.2, True), (None, None, False)])
    def test_a_checkpoint_by_its_config_and_its_validation_score(self, tmp_path, score, chance, weak):
        path = tmp_path / "best.safetensors"
        recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
        meta = {"validation_frame_accuracy": score, "validation_chance": chance}
        save_recognizer(path, recognizer, config={"seed": 3}, meta=meta)
        described = describe_start(ModelChoice(str(path)))
        assert described["config"] == {"seed": 3}
        assert described["model"] == {
            "checkpoint": "best.safetensors",
            "sha256": file_sha256(path),
            "validation_frame_accuracy": score,
            "validation_chance": chance,
        }
        assert bool(weak_start(described)) is weak
