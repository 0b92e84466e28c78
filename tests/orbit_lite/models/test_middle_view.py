"""The second view of each frame: the middle, enlarged."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from groundwork.errors import UsageError
from orbit_lite.models.engines import ENGINES, find_engine
from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.middle_view import MiddleView
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.training.experiment import load_experiment


def frames(count, size_px=224, seed=0):
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 16, 16, generator=draw)
    return (255 * F.interpolate(coarse, size=(size_px, size_px), mode="bilinear")).round().to(torch.uint8)


def with_view(share, backbone="tiny"):
    learner = load_learner("ridge_two_views").model_copy(update={"middle_view": share})
    return build_recognizer(learner, backbone, weights="random", seed=1).extractor


@pytest.mark.parametrize("share", [0.6, 0.5, 0.99])
def test_features_are_the_mean_over_the_whole_frame_and_its_middle_enlarged(share):
    images = frames(3)
    plain = build_recognizer("ridge", "tiny", weights="random", seed=1).extractor
    side = round(share * 224)
    first = (224 - side) // 2
    pixels = plain.pixels(images)[..., first : first + side, first : first + side]
    enlarged = F.interpolate(pixels, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = (plain.net(plain.pixels(images)) + plain.net(enlarged)) / 2
        found = with_view(share).encode(images)
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.std()))


def test_a_frame_is_encoded_alone_as_among_others_and_clips_are_means():
    extractor, images = with_view(0.6).double(), frames(4)
    with torch.no_grad():
        together, alone = extractor.encode(images), torch.cat([extractor.encode(one[None]) for one in images])
        clip = extractor.encode(images[None])
    assert torch.allclose(together, alone, atol=1e-10 * float(together.std()))
    assert torch.allclose(clip[0], together.mean(dim=0), atol=1e-10 * float(together.std()))


class PixelMean(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3))


def test_both_the_border_and_the_middle_count():
    net = MiddleView(PixelMean(), share=0.5)
    border, middle = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    border[..., 2:6, 2:6], middle[..., 2:6, 2:6] = 0, 1
    assert net(border).item() == pytest.approx(0.75 / 2)
    assert net(middle).item() == pytest.approx((0.25 + 1) / 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("backbone", ["tiny", "efficientnet_lite0"])
def test_every_engine_encodes_both_views(engine, backbone):
    if engine == "openvino":
        pytest.importorskip("openvino")
    extractor, images = with_view(0.6, backbone), frames(3)
    with torch.no_grad():
        expected = extractor.encode(images)
    found = CurrentEncoder(ChosenEngine(find_engine(engine)), extractor)(images)
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.std()))
    other = with_view(0.8, backbone)
    with torch.no_grad():
        expected = other.encode(images)
    found = CurrentEncoder(ChosenEngine(find_engine(engine)), other)(images)  # not the graph that was prepared before
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, "half"])
def test_a_share_that_is_no_part_of_the_frame_is_refused(share):
    with pytest.raises(UsageError, match="middle_view"):
        load_experiment("pocket", [f"learner.middle_view={share}"])


def test_files_of_learners_without_it_stay_as_they_were():
    assert "middle_view" not in load_learner("ridge").model_dump(mode="json")
    config = load_learner("ridge_two_views")
    assert LearnerConfig.model_validate(config.model_dump(mode="json")) == config and config.middle_view == 0.6
