"""CNAPs' set encoder: maps each support image to 64 numbers; their mean describes the task.

Zaheer et al. 2017 (arXiv 1703.06114); Requeima et al. 2019, figure 3 (arXiv 1906.07697).
"""

from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

MAPS = 64
# The most images encoded at once on a CPU: the feature maps are large, and those of more images don't fit into the
# cache (measured on two cores: 6 ms per image in chunks of 2, 14 ms in chunks of 8).
CPU_CHUNK = 2
LAYERS = 5


class SetEncoder(nn.Module):
    """Five blocks of conv 3x3, BatchNorm, ReLU and max-pool 2, then the global average: float (n, 3, s, s) to (n, 64).

    BatchNorm stays in eval mode with statistics 0 and 1, so it only scales and shifts, as in the published checkpoints.
    The module's names are those of the published checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = {f"layer{number}": _layer(3 if number == 1 else MAPS) for number in range(1, LAYERS + 1)}
        self.encoder = nn.Sequential()
        for name, layer in layers.items():
            self.encoder.add_module(name, layer)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode; see Extractor."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalized images (n, 3, s, s), s >= 32, as (n, 64)."""
        encodings: Tensor = self.pool(self.encoder(pixels)).flatten(1)
        return encodings

    def forward_folded(self, pixels: Tensor) -> Tensor:
        """Same as `forward`, but with each norm folded into the preceding convolution, which halves the passes over
        large maps."""
        maps = pixels
        for layer in self.encoder:
            conv, norm, pool, relu = layer.children()
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            assert conv.bias is not None and norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            bias = (conv.bias - norm.running_mean) * scale + norm.bias
            maps = relu(pool(F.conv2d(maps, conv.weight * scale.view(-1, 1, 1, 1), bias, padding=1)))
        encodings: Tensor = self.pool(maps).flatten(1)
        return encodings


def _layer(maps_in: int) -> nn.Sequential:
    conv = nn.Conv2d(maps_in, MAPS, kernel_size=3, padding=1)
    # The published order is ReLU, then pooling: same values and gradients, but four times as many numbers.
    return nn.Sequential(conv, nn.BatchNorm2d(MAPS), nn.MaxPool2d(2), nn.ReLU())
