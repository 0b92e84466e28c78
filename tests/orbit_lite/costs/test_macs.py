"""The counts, compared with counts by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundwork.errors import UsageError
from orbit_lite.config import builtin_names
from orbit_lite.costs.macs import frame_macs, personalize_macs
from orbit_lite.models.adapters.set_encoder import SetEncoder
from orbit_lite.models.counting import PartMacs, _OperationCounter, count_leaderboard_macs, count_macs, total
from orbit_lite.models.extractor import build_extractor
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer

WAY, SUPPORT = 3, 7
DOCS = Path(__file__).resolve().parents[3] / "docs"


def recognizer_of(learner: LearnerConfig | str, backbone: str = "tiny", size_px: int = 32) -> Recognizer:
    return build_recognizer(learner, backbone, weights="random", frame_size_px=size_px)


def by_part(parts: list[PartMacs]) -> dict[str, PartMacs]:
    return {part.part: part for part in parts}


def test_a_vit_block_as_counted_by_hand() -> None:
    net = build_extractor("vit_s_32", weights="random").net
    tokens, width, hidden = 50, 384, 1536  # 7 * 7 patches and the class token
    linears = tokens * width * (3 * width + width) + 2 * tokens * width * hidden
    attention = 2 * tokens * tokens * width  # each head's queries with keys, and weights with values
    norms = 2 * 4 * tokens * width
    block, values = net.blocks[0], torch.randn(1, tokens, width)
    assert count_macs(lambda: block(values)) == linears + attention
    assert count_leaderboard_macs(block, lambda: block(values)) == linears + norms
    patches = 49 * 3 * 32 * 32 * width
    pixels = torch.randn(1, 3, 224, 224)
    assert count_macs(lambda: net(pixels)) == patches + 12 * (linears + attention)


def test_the_set_encoder_as_counted_by_hand() -> None:
    encoder, pixels = SetEncoder(), torch.randn(1, 3, 224, 224)
    sides = (224, 112, 56, 28, 14)
    convolutions = 9 * 3 * 64 * 224**2 + sum(9 * 64 * 64 * side**2 for side in sides[1:])
    norms, pooling = sum(4 * 64 * side**2 for side in sides), 64 * 7**2 + 64
    assert count_macs(lambda: encoder(pixels)) == convolutions
    assert count_leaderboard_macs(encoder, lambda: encoder(pixels)) == convolutions + norms + pooling


@pytest.mark.parametrize(
    ("backbone", "giga"),
    # Tan and Le 2019, table 2; He et al. 2016, table 1; torchvision's table of weights
    [("efficientnet_b0", 0.39), ("resnet18", 1.8), ("vit_b_32", 4.41)],
)
def test_backbones_cost_what_is_published(backbone: str, giga: float) -> None:
    (extractor, _) = frame_macs(recognizer_of("protonets", backbone, 224), way=WAY)
    assert extractor.ours / 1e9 == pytest.approx(giga, rel=0.02)


def test_subclasses_are_free_by_the_leaderboards_rules() -> None:
    """EfficientNet-B0's five strided convolutions do their own padding and have a class of timm's."""
    extractor = build_extractor("efficientnet_b0", weights="random")
    frame = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    strided = 112**2 * 27 * 32 + (56**2 * 96 * 9 + 28**2 * 144 * 25 + 14**2 * 240 * 9 + 7**2 * 672 * 25)
    pooling = 7**2 * 1280 + 1280
    theirs = count_leaderboard_macs(extractor.net, lambda: extractor.encode(frame))
    assert theirs == count_macs(lambda: extractor.encode(frame)) - strided + pooling


def with_steps(learner: LearnerConfig, steps: int) -> LearnerConfig:
    """With fewer steps than needed, for learners that otherwise must reach a residual."""
    settings = {"residual": None} if learner.adapter == "proximal" else learner.adapter_settings
    return learner.model_copy(update={"steps": steps, "adapter_settings": settings})


@pytest.mark.parametrize("learner", builtin_names("learner"))
def test_the_parts_add_up_to_what_runs(learner: str) -> None:
    """Counts personalizing and predicting as a whole, so nothing is missed or counted twice."""
    few_steps = with_steps(load_learner(learner), 3)
    recognizer = recognizer_of(few_steps)
    images = torch.randint(0, 256, (SUPPORT, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(SUPPORT) % WAY
    whole = count_macs(lambda: recognizer.personalize(images, labels))
    parts = personalize_macs(recognizer, way=WAY, support=SUPPORT)
    # counted with random features, but here with the images' features
    if "depends on the features" in (last := parts[-1]).part:
        features = recognizer.embed(images)
        fit = count_macs(lambda: recognizer.head.fit(features, labels, way=WAY))
        assert 0.2 < last.ours / fit < 5
        parts[-1] = replace(last, ours=fit)
    assert total(parts).ours == whole
    fitted = recognizer.personalize(images, labels)
    extractor, head = frame_macs(recognizer, way=WAY)
    assert extractor.ours + head.ours == count_macs(lambda: fitted.logits(images[:1]))
    assert head.leaderboard == 0  # its rules don't count a head's logits


def test_heads_as_counted_by_hand() -> None:
    width = 256
    proto, versa, mahalanobis = (
        by_part(personalize_macs(recognizer_of(name), way=WAY, support=SUPPORT))["head's fit"]
        for name in ("protonets", "cnaps", "simple_cnaps")
    )
    means = WAY * SUPPORT * width
    assert proto.ours == means
    networks = WAY * (3 * width * width + width + 1 + 1)
    assert versa.ours == means + networks
    covariances = 2 * SUPPORT * width**2  # per task, and for all classes together
    factors = WAY * (width**3 // 3 // 2 + width**3 // 2)  # Cholesky, and its inverse
    assert mahalanobis.ours == pytest.approx(means + covariances + factors, abs=WAY)
    inverses = WAY * (width**3 + 3 * width**2 - 4 * width) / 3  # Gaussian elimination, as in the published code
    assert mahalanobis.leaderboard > inverses
    assert mahalanobis.leaderboard == pytest.approx(inverses, rel=0.1)


def test_steps_count_forward_and_backward() -> None:
    frame = total(frame_macs(recognizer_of("finetuner_film"), way=WAY))
    encoding = by_part(frame_macs(recognizer_of("finetuner"), way=WAY))["extractor"]
    passes = 50 * SUPPORT
    (tuning,) = personalize_macs(recognizer_of("finetuner_film"), way=WAY, support=SUPPORT)
    # back to the first norm through frozen convolutions, except through the first convolution
    assert 1.8 * passes * frame.ours < tuning.ours < 2 * passes * frame.ours
    assert tuning.leaderboard == passes * (2 * encoding.leaderboard + 256 + WAY * 256)
    linear = by_part(personalize_macs(recognizer_of("finetuner"), way=WAY, support=SUPPORT))
    assert linear["extractor"].ours == SUPPORT * encoding.ours  # the frozen features are computed once
    assert linear["extractor"].leaderboard == 2 * passes * encoding.leaderboard + SUPPORT * 256
    assert linear["head's fit"].ours == 50 * 2 * SUPPORT * 256 * WAY


def test_work_that_can_not_be_counted_is_an_error() -> None:
    logistic = LearnerConfig(name="own", head="logistic", extractor="frozen")
    (_, head) = personalize_macs(recognizer_of(logistic), way=WAY, support=SUPPORT)
    assert "not counted" in head.part
    for way, support in ((1, 1), (4, 4)):
        assert personalize_macs(recognizer_of("protonets"), way=way, support=support)
    for way, support in ((5, 4), (0, 4)):
        with pytest.raises(UsageError, match="a support frame for each class"):
            personalize_macs(recognizer_of("protonets"), way=way, support=support)


def test_counting_does_not_load_the_compiler() -> None:
    """Torch's wrapper of the counter's method would load it at the first call, which takes seconds."""
    assert not hasattr(_OperationCounter.__torch_dispatch__, "__wrapped__")


def test_the_docs_table_holds_what_is_counted() -> None:
    """A frame of 224 px, in 10^9 MACs by both counts."""
    names = {"EfficientNet-B0": "efficientnet_b0", "ViT-B/32 CLIP": "vit_b_32_clip", "ResNet-18": "resnet18"}
    found = {}
    for title, backbone in names.items():
        extractor, *_ = frame_macs(recognizer_of("protonets", backbone, 224), way=WAY)
        found[title] = (extractor.ours, extractor.leaderboard)
    parts = by_part(personalize_macs(recognizer_of("cnaps", "tiny", 224), way=1, support=1))
    found["CNAPs' set encoder"] = (parts["set encoder"].ours, parts["set encoder"].leaderboard)
    rows = [f"| {title} | {ours / 1e9:.3f} | {theirs / 1e9:.3f} |" for title, (ours, theirs) in found.items()]
    assert "\n".join(rows) in (DOCS / "learners.md").read_text()
