"""One record per backbone: every fact about it that the rest of the kit needs. None has a default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

FRAME_SIZE_PX = 224
Channels = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALVES = (0.5, 0.5, 0.5)
CLASSIFIERS = ("classifier.", "head.", "fc.")  # what a file's own classifier is called: not part of a backbone

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One backbone.

    name: what YAML and `--backbone` call it. width: of its features.
    mean, std: of pixels in [0, 1], by channel.
    source, license: where the pretrained weights come from, and under what license.
    build: the network with random weights, float (n, 3, s, s) to (n, width). In eval mode an image's features must not
        depend on the others in its batch, nor on what was encoded before.
    any_size: whether s may differ from 224.
    fetch: the file of its pretrained weights; None if there are none.
    prepare: what to do with a file's tensors before they are the network's, by its names; `as_they_are`.
    classifiers: beginnings of names in a file that may be there and are not wanted.
    norms: names of the norm layers whose weights and biases FiLM replaces. Raises UsageError if there can be none.
    """

    name: str
    width: int
    mean: Channels
    std: Channels
    source: str
    license: str
    build: Callable[[], nn.Module]
    any_size: bool
    fetch: Callable[[], Path] | None
    prepare: Callable[[nn.Module, Tensors], Tensors]
    classifiers: tuple[str, ...]
    norms: Callable[[nn.Module], list[str]]


def as_they_are(net: nn.Module, tensors: Tensors) -> Tensors:
    """A file's tensors bear the network's names."""
    return tensors
