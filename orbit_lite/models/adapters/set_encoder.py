"""CNAPs' set encoder: each support image to 64 numbers; their mean says what kind of task it is.

Zaheer et al. 2017 (arXiv 1703.06114); Requeima et al. 2019, figure 3 (arXiv 1906.07697).
"""

from typing import Self

from torch import Tensor, nn

MAPS = 64
LAYERS = 5


class SetEncoder(nn.Module):
    """Five times conv 3x3, BatchNorm, ReLU, max-pool 2; then the global average: float (n, 3, s, s) to (n, 64).

    BatchNorm stays in eval mode, its statistics 0 and 1: scale and shift, as the published training left it.
    The module's names are the published checkpoints'.
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
        """Normalised images (n, 3, s, s), s >= 32, to (n, 64)."""
        encodings: Tensor = self.pool(self.encoder(pixels)).flatten(1)
        return encodings


def _layer(maps_in: int) -> nn.Sequential:
    conv = nn.Conv2d(maps_in, MAPS, kernel_size=3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(MAPS), nn.ReLU(), nn.MaxPool2d(2))
