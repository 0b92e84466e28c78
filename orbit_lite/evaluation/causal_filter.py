"""A causal filter over a video's probabilities, since consecutive frames mostly show the same object.

It is the forward pass of a hidden Markov model. The visible object stays the same with probability r, and is drawn
uniformly from the C objects with probability 1 - r. With p_t(c) the recognizer's own probabilities,

    a_t(c)  ∝  p_t(c) [r a_{t-1}(c) + (1 - r) / C],    a_0 = 1 / C.

It only looks back, as ORBIT's rules demand: a frame is predicted from itself and earlier frames of its video.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from eval.formats.records import VideoPlan
from groundwork.errors import UsageError


@dataclass(frozen=True)
class CausalFilter:
    """stay: r, in [0, 1). 0 does not change the probabilities."""

    stay: float

    def __call__(self, probabilities: Tensor) -> Tensor:
        """Filter the probabilities of the first frames of a video.

        Args:
            probabilities: (frames, C), for every frame from the video's first, in order; rows sum to 1.

        Returns:
            the same shape, float64, on the CPU; row t depends only on rows 0 to t.
        """
        found = probabilities.cpu().numpy().astype(np.float64)
        uniform = 1 / found.shape[1]
        before = np.full(found.shape[1], uniform)
        for row in found:
            row *= self.stay * before + (1 - self.stay) * uniform
            row /= row.sum()
            before = row
        return torch.from_numpy(found)

    def needed(self, plan: VideoPlan) -> VideoPlan:
        """The frames to read in order to predict a plan's frames: every frame of the video up to the last of them."""
        return replace(plan, frames=tuple(range(1, plan.frames[-1] + 1)))


def refuse_time_order(
    protocol: str, causal_filter: CausalFilter | None, *, single_images: bool, thumbnails: bool = False
) -> None:
    """Raise UsageError for options that need frames in time order if the protocol's tasks are of single images."""
    asked = {"--filter-stay": causal_filter is not None, "--thumbnails": thumbnails}
    for option in (name for name, given in asked.items() if given and single_images):
        raise UsageError(
            f"{option}: needs video frames in time order, but protocol {protocol} uses single images; leave the "
            "option out"
        )
