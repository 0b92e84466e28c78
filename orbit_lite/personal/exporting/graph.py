"""A personal recogniser as one graph of tensors: pixels in, answers out. What every exported format is made from."""

import copy

import torch
from torch import Tensor, nn

from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.heads.fitting import FittedHead, class_means, every_tensor, with_tensors
from orbit_lite.personal.decision.familiarity import familiarity
from orbit_lite.personal.recognizer import PersonalRecognizer

UINT8, FLOAT = "uint8", "float"  # what frames come as: 0 to 255, or float32 in [0, 1]
INPUT = "frames"
FEATURES = "features"  # between the two halves
OUTPUTS = ("logits", "probabilities", "familiarity")


class FeatureGraph(nn.Module):
    """Frames (n, 3, s, s) to features (n, width): normalization and network, adapted parameters in place of its own."""

    mean: Tensor
    std: Tensor

    def __init__(self, extractor: Extractor, state: ExtractorState | None, *, takes: str, channels_last: bool) -> None:
        """Copies what it needs. channels_last: the order of memory that PyTorch's convolutions are quicker with."""
        super().__init__()
        self.order = torch.channels_last if channels_last else torch.contiguous_format
        self.net = copy.deepcopy(extractor.net).requires_grad_(False).cpu().to(memory_format=self.order)
        for name, value in (state or {}).items():
            self.net.get_parameter(name).copy_(value)
        unit = 1 if takes == UINT8 else 255  # the extractor has its statistics in units of uint8 pixels
        self.register_buffer("mean", extractor.mean.cpu() / unit)
        self.register_buffer("std", extractor.std.cpu() / unit)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        pixels = (frames.to(self.mean.dtype) - self.mean) / self.std
        features: Tensor = self.net(pixels.contiguous(memory_format=self.order))
        return features


class AnswerGraph(nn.Module):
    """Features (n, width) to logits (n, way), their softmax, and familiarity (n,), in the order of OUTPUTS."""

    means: Tensor

    def __init__(self, head: FittedHead, means: Tensor) -> None:
        super().__init__()
        self._head = head
        tensors = {name: nn.Parameter(value.cpu(), requires_grad=False) for name, value in every_tensor(head).items()}
        self.head = nn.ParameterDict(tensors)  # where exporters find them
        self.register_buffer("means", means.cpu())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        logits = with_tensors(self._head, dict(self.head.items())).logits(features)
        return logits, logits.softmax(1), familiarity(features, self.means).amax(1)


class PersonalGraph(nn.Module):
    """Both in a row: what PersonalRecognizer computes of frames, and the logits. On the CPU, in eval mode."""

    def __init__(self, features: FeatureGraph, answers: AnswerGraph) -> None:
        super().__init__()
        self.features = features
        self.answers = answers

    @classmethod
    @torch.no_grad()
    def of(cls, personal: PersonalRecognizer, *, takes: str = UINT8, channels_last: bool = False) -> "PersonalGraph":
        """A copy of a recogniser, which stays as it is. takes: UINT8 or FLOAT."""
        fitted, support = personal.fitted, personal.recognizer
        extractor = fitted.recognizer.extractor
        features = FeatureGraph(extractor, fitted.state, takes=takes, channels_last=channels_last)
        means = class_means(support.features, support.labels, way=support.way)
        return cls(features, AnswerGraph(fitted.head, means)).eval()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames as `takes` says, to OUTPUTS."""
        answers: tuple[Tensor, Tensor, Tensor] = self.answers(self.features(frames))
        return answers
