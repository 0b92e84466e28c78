"""One record per backbone with every fact about it that the rest of the kit needs. No field has a default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

FRAME_SIZE_PX = 224
Channels = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALVES = (0.5, 0.5, 0.5)
CLASSIFIERS = ("classifier.", "head.", "fc.")  # prefixes of a file's classifier, which is not part of a backbone

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One backbone.

    name: its name in YAML and for `--backbone`.
    width: the number of features.
    mean, std: of pixels in [0, 1], by channel.
    source, license: where the pretrained weights come from, and their license.
    build: makes the network with random weights, float (n, 3, s, s) to (n, width). In eval mode an image's features
        must not depend on other images in its batch or on earlier batches.
    any_size: whether s may differ from 224.
    fetch: returns the file with the pretrained weights; None if there are none.
    prepare: turns a file's tensors into the network's, by name; `as_they_are` changes nothing.
    classifiers: prefixes of tensors in a file that are ignored.
    norms: returns the names of the norm layers whose weights and biases FiLM replaces. Raises UsageError if there are
        none.
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
    """Return the tensors unchanged: the file uses the network's names."""
    return tensors
