"""The backbones in one table, and the extractor: uint8 images in, features out, normalisation inside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from groundwork.errors import AskedWrong
from groundwork.words import nearest
from orbit_lite.models.backbones.tiny import WIDTH as TINY_WIDTH
from orbit_lite.models.backbones.tiny import tiny_net
from orbit_lite.models.counting import PartMacs, count_leaderboard_macs, count_macs
from orbit_lite.models.packaged import EFFICIENTNET_LITE0, lite0_name
from orbit_lite.models.pretrained import fetch_from_hub, fetch_from_url
from orbit_lite.models.weight_files import load_checked, read_weights

FRAME_SIZE_PX = 224
LEAST_FRAME_SIZE_PX = 32  # five times halved, by every backbone and by the set encoder, it is one pixel
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALVES = (0.5, 0.5, 0.5)
ExtractorState = Mapping[str, Tensor]  # parameters of an extractor's network, by name
CLASSIFIERS = ("classifier.", "head.", "fc.")  # a published file's own classifier: not part of a backbone


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    `mean` and `std` are of pixels in [0, 1]. `build` gives the network with random weights, float (n, 3, s, s) to
    (n, width); `fetch` the file of its pretrained weights, None if there are none; `norms` the names of the norm layers
    whose weights and biases FiLM replaces. `any_size`: s may differ from 224. `named`: a name in a file of weights to
    the network's.
    """

    name: str
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    licence: str
    build: Callable[[], nn.Module]
    fetch: Callable[[], Path] | None
    norms: Callable[[nn.Module], list[str]]
    any_size: bool = True
    named: Callable[[str], str] = str


class Extractor(nn.Module):
    """A backbone's network with its normalisation: uint8 (n, 3, s, s) to float (n, width).

    Always in eval mode, whatever `train()` is told: an image's encoding must depend on that image and the weights
    alone. With BatchNorm in train mode it depends on its batch, and with dropout it is another one each time; LITE,
    which encodes an image twice and takes both for the same, would then give the gradient of nothing in particular.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, net: nn.Module, *, frame_size_px: int = FRAME_SIZE_PX) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = backbone.width
        self.frame_size_px = frame_size_px
        self.net = net.to(memory_format=torch.channels_last)  # on CPU up to three times as fast
        # In units of the uint8 pixels, so that no pass over the images is spent on /255. Facts of the backbone, not
        # learned: not in the state dict.
        self.register_buffer("mean", 255 * torch.tensor(backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(backbone.std).view(3, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode (see the class); weights still learn, for that hangs on requires_grad."""
        return super().train(False)

    def encode(self, items: Tensor, *, state: ExtractorState | None = None, bf16: bool = False) -> Tensor:
        """One chunk of items to features (n, width), with graph if gradients are on; not checked.

        Args:
            items: uint8 frames (n, 3, s, s) or clips (n, frames, 3, s, s), on any device.
            state: parameters by name that stand in for the network's own.
            bf16: run the network in bfloat16; features are float32 all the same. The autocast is entered anew for each
                chunk, for it keeps casts of the weights, and those made without graph would cut the gradient of a later
                one.
        """
        frames = items.to(self.mean.device, non_blocking=True)
        with torch.autocast(self.mean.device.type, torch.bfloat16, enabled=bf16):
            features = self(frames.flatten(0, 1) if items.ndim == 5 else frames, state)
        features = features.reshape(*items.shape[:2], -1).mean(dim=1) if items.ndim == 5 else features
        return features

    def forward(self, images: Tensor, state: ExtractorState | None = None) -> Tensor:
        """uint8 (n, 3, s, s), on the extractor's device, to features (n, width), float32 under autocast too."""
        pixels = self.pixels(images)
        features: Tensor = self.net(pixels) if state is None else functional_call(self.net, dict(state), (pixels,))
        return features.float() if features.dtype in (torch.bfloat16, torch.float16) else features

    def pixels(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, s, s), on the extractor's device, to the normalised values that the network takes."""
        if images.dtype != torch.uint8:
            raise ValueError(f"images of {images.dtype}; expected uint8, not normalised")
        pixels = images.contiguous(memory_format=torch.channels_last).to(self.mean.dtype)
        return pixels.sub_(self.mean).div_(self.std)


def frame_macs(extractor: Extractor) -> PartMacs:
    """MACs of encoding one frame, by both counts."""
    size_px = extractor.frame_size_px
    frame = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=extractor.mean.device)
    with torch.no_grad():
        ours = count_macs(lambda: extractor.encode(frame))
    return PartMacs("extractor", ours, count_leaderboard_macs(extractor.net, lambda: extractor.encode(frame)))


def build_extractor(name: str, *, weights: str | Path, seed: int = 0, frame_size_px: int = FRAME_SIZE_PX) -> Extractor:
    """Build an extractor by its backbone's name.

    Args:
        name: a key of BACKBONES.
        weights: `pretrained`, `random`, or a file: safetensors or .pth, with timm's (resnet18: torchvision's) names.
        seed: of random weights; the global random state is neither read nor changed.
        frame_size_px: side of the square frames.

    Raises:
        AskedWrong: unknown name, no pretrained weights to be had, no such file, or a size the backbone can't take.
        FoundWrong: if the file is not one of weights, or they do not fit; lists the keys.
    """
    if name not in BACKBONES:
        raise AskedWrong(f"unknown backbone {name!r}{nearest(name, BACKBONES)}; known: {', '.join(BACKBONES)}")
    backbone = BACKBONES[name]
    if frame_size_px != FRAME_SIZE_PX and not backbone.any_size:
        raise AskedWrong(f"backbone {name} takes frames of {FRAME_SIZE_PX} px only, asked for {frame_size_px}")
    if frame_size_px < LEAST_FRAME_SIZE_PX:
        raise AskedWrong(
            f"frames of {frame_size_px} px: too small for any backbone; expected {LEAST_FRAME_SIZE_PX} or more"
        )
    if weights == "pretrained" and backbone.fetch is None:
        raise AskedWrong(f"backbone {name} has no pretrained weights; use --weights random, or --weights FILE")
    path = _weights_path(backbone, weights)
    file = read_weights(path) if path else None  # before building, which takes seconds for the large ones
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's only: torch.manual_seed would reset every GPU's too
        net = backbone.build()
    if file:
        tensors = {backbone.named(key): value for key, value in file.tensors.items()}
        load_checked(net, tensors, where=f"{path} for backbone {name}", ignored=CLASSIFIERS)
    return Extractor(backbone, net, frame_size_px=frame_size_px)


def _weights_path(backbone: Backbone, weights: str | Path) -> Path | None:
    if weights == "random":
        return None
    if weights == "pretrained" and backbone.fetch:
        return backbone.fetch()
    return Path(weights)


def _timm_net(timm_name: str) -> nn.Module:
    import timm  # takes seconds to import, and `tiny` never needs it

    net: nn.Module = timm.create_model(timm_name, pretrained=False, num_classes=0)
    return net


def _resnet18() -> nn.Module:
    import torchvision

    net: nn.Module = torchvision.models.resnet18(weights=None)
    net.fc = nn.Identity()
    return net


def _fetch_resnet18() -> Path:
    import torchvision

    return fetch_from_url(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url)


def _efficientnet_norms(net: nn.Module) -> list[str]:
    """Of the published FiLM: those at the root, of inverted residuals the second, of edge residuals and plain
    convolutions the first; none in depthwise-separable blocks."""
    second = {"InvertedResidual": "bn2", "EdgeResidual": "bn1", "ConvBnAct": "bn1"}
    blocks = ((name, second.get(type(module).__name__)) for name, module in net.named_modules())
    return ["bn1", "bn2", *(f"{name}.{norm}" for name, norm in blocks if norm)]


def _vit_norms(net: nn.Module) -> list[str]:
    """Every block's two and the last one; not the one before the blocks that CLIP's has."""
    wanted = ("norm", "norm1", "norm2")
    found = ((name, module) for name, module in net.named_modules() if isinstance(module, nn.LayerNorm))
    return [name for name, _ in found if name.rpartition(".")[2] in wanted]


def _resnet_norms(net: nn.Module) -> list[str]:
    """The stem's, and each block's two; not those of the shortcuts."""
    found = (name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d))
    return [name for name in found if "downsample" not in name]


def _tiny_norms(net: nn.Module) -> list[str]:
    return [name for name, module in net.named_modules() if isinstance(module, nn.GroupNorm)]


def _timm(
    name: str,
    timm_name: str,
    width: int,
    pixels: tuple[tuple[float, float, float], tuple[float, float, float]],
    norms: Callable[[nn.Module], list[str]],
    *,
    any_size: bool,
) -> Backbone:
    return Backbone(
        name=name,
        width=width,
        mean=pixels[0],
        std=pixels[1],
        source=f"timm {timm_name}",
        licence="Apache-2.0, as timm's configuration states",
        build=partial(_timm_net, timm_name),
        fetch=partial(fetch_from_hub, timm_name),
        norms=norms,
        any_size=any_size,
    )


_IMAGENET, _HALF, _CLIP = (IMAGENET_MEAN, IMAGENET_STD), (HALVES, HALVES), (CLIP_MEAN, CLIP_STD)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("tiny", TINY_WIDTH, HALVES, HALVES, "this kit, from scratch", "MIT", tiny_net, None, _tiny_norms),
        _timm("efficientnet_b0", "tf_efficientnet_b0.aa_in1k", 1280, _IMAGENET, _efficientnet_norms, any_size=True),
        Backbone(
            name="efficientnet_lite0",
            width=1280,
            mean=HALVES,
            std=HALVES,
            source=f"package {EFFICIENTNET_LITE0.name} {EFFICIENTNET_LITE0.version}, on timm tf_efficientnet_lite0",
            licence="Apache-2.0, as the package's LICENSE file states",
            build=partial(_timm_net, "tf_efficientnet_lite0"),
            fetch=EFFICIENTNET_LITE0.find,
            norms=_efficientnet_norms,
            named=lite0_name,
        ),
        _timm("efficientnet_v2_s", "tf_efficientnetv2_s.in21k", 1280, _HALF, _efficientnet_norms, any_size=True),
        _timm("vit_s_32", "vit_small_patch32_224.augreg_in21k", 384, _HALF, _vit_norms, any_size=False),
        _timm("vit_b_32", "vit_base_patch32_224.augreg_in21k", 768, _HALF, _vit_norms, any_size=False),
        _timm("vit_b_32_clip", "vit_base_patch32_clip_224.laion2b", 768, _CLIP, _vit_norms, any_size=False),
        Backbone(
            name="resnet18",
            width=512,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            source="torchvision ResNet18_Weights.IMAGENET1K_V1",
            licence="BSD-3-Clause",
            build=_resnet18,
            fetch=_fetch_resnet18,
            norms=_resnet_norms,
        ),
    )
}
