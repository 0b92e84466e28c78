"""Backbones: the table, weights from files, and properties of the extractor."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from groundwork.errors import DataError, UsageError
from orbit_lite.models.backbones import BACKBONES
from orbit_lite.models.extractor import Extractor, build_extractor

TIMM_B0 = "tf_efficientnet_b0.aa_in1k"


def frames(count: int, size_px: int = 224) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def b0_weights() -> dict[str, Tensor]:
    """A state dict like timm's, including the classifier, with other values."""
    import timm

    return dict(timm.create_model(TIMM_B0, pretrained=False).state_dict())


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_and_gives_its_width(name: str) -> None:
    extractor = build_extractor(name, weights="random")
    with torch.no_grad():
        features = extractor(frames(2))
    assert features.shape == (2, BACKBONES[name].width)
    assert features.dtype == torch.float32
    assert torch.isfinite(features).all()


def test_tiny_is_well_under_a_million_parameters() -> None:
    extractor = build_extractor("tiny", weights="random")
    assert sum(p.numel() for p in extractor.parameters()) == 385_208  # counted by hand from the table of stages


@pytest.mark.parametrize("name", ["tiny", "efficientnet_b0", "resnet18"])
def test_normalization_is_the_backbones_own(name: str) -> None:
    extractor = build_extractor(name, weights="random").double()
    backbone, images = extractor.backbone, frames(2)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (backbone.mean, backbone.std))
    with torch.no_grad():
        plain = extractor.net((images / 255 - mean) / std)
        torch.testing.assert_close(extractor(images), plain, rtol=1e-5, atol=1e-5)
    assert images.equal(frames(2))  # the caller's images don't change


def test_images_that_are_already_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        build_extractor("tiny", weights="random")(frames(1).float())


@pytest.mark.parametrize("name", ["tiny", "efficientnet_b0", "resnet18"])
def test_pixels_and_weights_are_channels_last(name: str, tmp_path: Path) -> None:
    """This layout is faster for convolutions on CPU and GPU; loading weights must not change it."""
    torch.save(BACKBONES[name].build().state_dict(), tmp_path / "x.pth")
    extractor = build_extractor(name, weights=tmp_path / "x.pth")
    layouts = []
    for module in extractor.net.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
            module.register_forward_hook(
                lambda _, inputs, output: layouts.extend(
                    values.is_contiguous(memory_format=torch.channels_last) for values in (*inputs, output)
                )
            )
    with torch.no_grad():
        extractor(frames(2))
    assert layouts and all(layouts)


@pytest.mark.parametrize("name", ["tiny", "efficientnet_b0", "vit_s_32"])
def test_an_encoding_does_not_depend_on_its_batch(name: str) -> None:
    """In float64, because random weights amplify float32 rounding, which depends on the batch."""
    size_px = 224 if name.startswith("vit") else 64
    extractor = build_extractor(name, weights="random", frame_size_px=size_px).double()
    images = frames(3, size_px)
    extractor.train()
    with torch.no_grad():
        together, alone = extractor(images), extractor(images[1:2])
    assert (together[1:2] - alone).norm() <= 1e-9 * (together - together.mean(dim=0)).norm()


def test_training_mode_changes_neither_batchnorm_nor_its_statistics() -> None:
    extractor = build_extractor("efficientnet_b0", weights="random", frame_size_px=64)
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    holder = nn.Sequential(extractor).train()
    holder(frames(2, 64)).sum().backward()
    norms = [module for module in extractor.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(module.training for module in norms)
    assert all(torch.equal(before[name], value) for name, value in extractor.state_dict().items())


def test_random_weights_depend_on_their_seed_and_not_on_global_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = build_extractor("tiny", weights="random", seed=1)
    assert torch.equal(torch.rand(3), expected)
    again, other = (build_extractor("tiny", weights="random", seed=seed) for seed in (1, 2))
    assert torch.equal(one(frames(1)), again(frames(1)))
    assert not torch.equal(one(frames(1)), other(frames(1)))


def test_normalization_is_not_in_the_state_dict() -> None:
    assert all(name.startswith("net.") for name in build_extractor("tiny", weights="random").state_dict())


def test_frames_too_small_to_be_halved_five_times_are_refused() -> None:
    build_extractor("tiny", weights="random", frame_size_px=32)
    with pytest.raises(UsageError, match="frames of 31 px: too small for any backbone; expected at least 32"):
        build_extractor("tiny", weights="random", frame_size_px=31)


def test_unknown_backbone_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError, match=r"'eficientnet_b0' \(did you mean 'efficientnet_b0'\?\); known: tiny, "):
        build_extractor("eficientnet_b0", weights="random")


def test_tiny_has_no_pretrained_weights() -> None:
    with pytest.raises(UsageError, match="tiny has no pretrained"):
        build_extractor("tiny", weights="pretrained")


def test_a_vit_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="only takes frames of 224 px, got 84"):
        build_extractor("vit_s_32", weights="random", frame_size_px=84)


@pytest.mark.parametrize("kind", ["safetensors", "pth", "nested.pth"])
def test_a_file_with_timms_names_is_loaded_without_its_classifier(
    b0_weights: dict[str, Tensor], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"b0.{kind}"
    if kind == "safetensors":
        safetensors.torch.save_file({name: value.contiguous() for name, value in b0_weights.items()}, path)
    else:
        torch.save({"model_state_dict": b0_weights, "epoch": 3} if kind == "nested.pth" else b0_weights, path)
    assert "classifier.weight" in b0_weights
    loaded = build_extractor("efficientnet_b0", weights=path)
    for name, value in loaded.net.state_dict().items():
        assert torch.equal(value, b0_weights[name])


def test_all_mismatches_are_in_one_error(b0_weights: dict[str, Tensor], tmp_path: Path) -> None:
    wrong = dict(b0_weights)
    wrong["bn1.wieght"] = wrong.pop("bn1.weight")
    wrong["bn2.bias"] = torch.zeros(7)
    wrong["bn2.running_var"] = torch.full((1280,), float("nan"))
    torch.save(wrong, tmp_path / "wrong.pth")
    with pytest.raises(DataError) as caught:
        build_extractor("efficientnet_b0", weights=tmp_path / "wrong.pth")
    text = str(caught.value)
    for part in (
        "wrong.pth for backbone efficientnet_b0",
        "1 missing (bn1.weight)",
        "1 unknown (bn1.wieght)",
        "1 misshapen (bn2.bias (7,) instead of (1280,))",
        "1 with NaN or infinite values (bn2.running_var)",
    ):
        assert part in text
    assert "\n" not in text


def test_weights_of_another_backbone_are_refused(b0_weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(b0_weights, tmp_path / "b0.pth")
    with pytest.raises(DataError, match="and 2 more"):  # 12 tensors of tiny are missing, 10 are named
        build_extractor("tiny", weights=tmp_path / "b0.pth")


def test_other_sizes_and_doubles_work() -> None:
    extractor: Extractor = build_extractor("tiny", weights="random", frame_size_px=32).double()
    assert extractor(frames(2, 32)).dtype == torch.float64
