"""A second look at the middle of each frame, where a person who films an object usually holds it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MiddleView(nn.Module):
    """A network that sees each frame twice, whole and its middle enlarged: the mean of both features.

    The middle shows the object larger and less of the place around it; the whole frame still shows an object that is
    not in the middle. Encoding a frame takes twice as long.
    """

    def __init__(self, net: nn.Module, *, share: float) -> None:
        """share: the side of the middle, as a share of the frame's side, in (0, 1)."""
        super().__init__()
        self.net = net
        self.share = share

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalized frames (n, 3, s, s) to features (n, width)."""
        size_px = pixels.shape[-1]
        side_px = max(1, round(self.share * size_px))
        first_px = (size_px - side_px) // 2
        middle = pixels[..., first_px : first_px + side_px, first_px : first_px + side_px]
        enlarged = F.interpolate(middle, size=(size_px, size_px), mode="bilinear", align_corners=False)
        # one pass over both, so that each layer runs once and its norm can be folded
        features: Tensor = self.net(torch.cat([pixels, enlarged]))
        return features.unflatten(0, (2, pixels.shape[0])).mean(dim=0)

    def extra_repr(self) -> str:
        """For the names of prepared graphs, which differ by share."""
        return f"share={self.share}"
