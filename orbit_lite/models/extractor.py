"""The extractor: a backbone's network with normalization, from uint8 images to features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from groundwork.errors import UsageError
from orbit_lite.models.backbones import find_backbone
from orbit_lite.models.backbones.record import FRAME_SIZE_PX, Backbone
from orbit_lite.models.counting import PartMacs, count_leaderboard_macs, count_macs
from orbit_lite.models.weight_files import load_checked, read_weights

MOST_FRAME_SIZE_PX = 4096  # one such frame takes 200 MB as floats
LEAST_FRAME_SIZE_PX = 32  # most backbones and the set encoder halve it five times, to one pixel
ExtractorState = Mapping[str, Tensor]  # values for parameters of an extractor's network, by name


class Extractor(nn.Module):
    """A backbone's network with its normalization: uint8 (n, 3, s, s) to float (n, width).

    It is always in eval mode, even after `train()`, because an image's encoding must depend only on that image and the
    weights. With BatchNorm in train mode it depends on the batch, and with dropout it changes each time. LITE encodes
    an image twice and assumes equal results; otherwise its gradient would be meaningless.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, net: nn.Module, *, frame_size_px: int = FRAME_SIZE_PX) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = backbone.width
        self.frame_size_px = frame_size_px
        self.net = net.to(memory_format=torch.channels_last)  # up to three times as fast on a CPU
        # In units of uint8 pixels, which saves a pass over the images for /255. They are facts of the backbone, not
        # learned, so they are not in the state dict.
        self.register_buffer("mean", 255 * torch.tensor(backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(backbone.std).view(3, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode (see the class). Weights still learn, because that depends on requires_grad."""
        return super().train(False)

    def encode(self, items: Tensor, *, state: ExtractorState | None = None, bf16: bool = False) -> Tensor:
        """Encode one chunk of items as features (n, width), with graph if gradients are on; the result is not checked.

        Args:
            items: uint8 frames (n, 3, s, s) or clips (n, frames, 3, s, s), on any device.
            state: parameters by name that replace the network's own.
            bf16: run the network in bfloat16; features are still float32. Each chunk enters autocast again, because
                autocast caches casts of the weights, and those made without graph would cut off the gradient of a later
                chunk.
        """
        frames = items.to(self.mean.device, non_blocking=True)
        with torch.autocast(self.mean.device.type, torch.bfloat16, enabled=bf16):
            features = self(frames.flatten(0, 1) if items.ndim == 5 else frames, state)
        features = features.reshape(*items.shape[:2], -1).mean(dim=1) if items.ndim == 5 else features
        return features

    def forward(self, images: Tensor, state: ExtractorState | None = None) -> Tensor:
        """Map uint8 (n, 3, s, s), on the extractor's device, to features (n, width), float32 even under autocast."""
        pixels = self.pixels(images)
        features: Tensor = self.net(pixels) if state is None else functional_call(self.net, dict(state), (pixels,))
        return features.float() if features.dtype in (torch.bfloat16, torch.float16) else features

    def pixels(self, images: Tensor) -> Tensor:
        """Map uint8 (n, 3, s, s), on the extractor's device, to the network's normalized input."""
        if images.dtype != torch.uint8:
            raise ValueError(f"images are {images.dtype}; expected uint8, not normalized")
        pixels = images.contiguous(memory_format=torch.channels_last).to(self.mean.dtype)
        return pixels.sub_(_row(self.mean, images.shape[-1])).div_(_row(self.std, images.shape[-1]))


def _row(values: Tensor, width: int) -> Tensor:
    """Repeat a value per channel, (1, 3, 1, 1), for each pixel of a row, in the memory layout of images. Arithmetic is
    then seven to eleven times as fast as with one value per channel (measured), with the same result."""
    return values.expand(1, -1, 1, width).contiguous(memory_format=torch.channels_last)


def frame_macs(extractor: Extractor) -> PartMacs:
    """MACs of encoding one frame, by both counts."""
    size_px = extractor.frame_size_px
    frame = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=extractor.mean.device)
    with torch.no_grad():
        ours = count_macs(lambda: extractor.encode(frame))
    return PartMacs("extractor", ours, count_leaderboard_macs(extractor.net, lambda: extractor.encode(frame)))


def build_extractor(name: str, *, weights: str | Path, seed: int = 0, frame_size_px: int = FRAME_SIZE_PX) -> Extractor:
    """Build an extractor from its backbone's name.

    Args:
        name: a name in the table of backbones, or `timm:NAME` for any timm model.
        weights: `pretrained`, `random`, or a file: safetensors or .pth, with timm's (resnet18: torchvision's) names.
        seed: the seed of random weights; the global random state is neither read nor changed.
        frame_size_px: the side of the square frames.

    Raises:
        UsageError: for an unknown name, a backbone without pretrained weights, a missing file, or a size that the
            backbone can't take.
        DataError: if the file does not hold weights, or they don't fit; the message lists the keys.
    """
    if frame_size_px < LEAST_FRAME_SIZE_PX:
        raise UsageError(
            f"frames of {frame_size_px} px: too small for any backbone; expected at least {LEAST_FRAME_SIZE_PX}"
        )
    if frame_size_px > MOST_FRAME_SIZE_PX:
        raise UsageError(f"frames of {frame_size_px} px: too large; expected at most {MOST_FRAME_SIZE_PX}")
    backbone = find_backbone(name, frame_size_px=frame_size_px)
    if frame_size_px != FRAME_SIZE_PX and not backbone.any_size:
        raise UsageError(f"backbone {name} only takes frames of {FRAME_SIZE_PX} px, got {frame_size_px}")
    if weights == "pretrained" and backbone.fetch is None:
        raise UsageError(f"backbone {name} has no pretrained weights; use --weights random, or --weights FILE")
    path = _weights_path(backbone, weights)
    file = read_weights(path) if path else None  # read first, because building takes seconds for large networks
    with torch.random.fork_rng(devices=[]):
        # only the CPU's generator: torch.manual_seed would also reset every GPU's
        torch.default_generator.manual_seed(seed)
        net = backbone.build()
    if file:
        tensors = backbone.prepare(net, file.tensors)
        load_checked(net, tensors, where=f"{path} for backbone {name}", ignored=backbone.classifiers)
    return Extractor(backbone, net, frame_size_px=frame_size_px)


def _weights_path(backbone: Backbone, weights: str | Path) -> Path | None:
    if weights == "random":
        return None
    if weights == "pretrained" and backbone.fetch:
        return backbone.fetch()
    return Path(weights)
