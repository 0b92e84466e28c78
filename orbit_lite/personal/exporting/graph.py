"""A personal recognizer as one graph of tensors, from pixels to scores, from which all formats are exported."""

import copy

import torch
from torch import Tensor, nn

from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.heads.fitting import FittedHead, every_tensor, with_tensors
from orbit_lite.personal.decision.calibration import Calibration
from orbit_lite.personal.decision.confidence import SMOOTHING
from orbit_lite.personal.decision.familiarity import nearest_cosine
from orbit_lite.personal.recognizer import PersonalRecognizer

UINT8, FLOAT = "uint8", "float"  # the input's pixel values: 0 to 255, or float32 in [0, 1]
INPUT = "frames"
FEATURES = "features"  # the tensor between the two halves
OUTPUTS = ("logits", "probabilities", "familiarity")


class FeatureGraph(nn.Module):
    """Frames (n, 3, s, s) to features (n, width): normalization, and the network with its adapted parameters."""

    mean: Tensor
    std: Tensor

    def __init__(self, extractor: Extractor, state: ExtractorState | None, *, takes: str, channels_last: bool) -> None:
        """Copies what it needs. channels_last: the memory order with which PyTorch's convolutions are faster."""
        super().__init__()
        self.order = torch.channels_last if channels_last else torch.contiguous_format
        self.net = copy.deepcopy(extractor.net).requires_grad_(False).cpu().to(memory_format=self.order)
        for name, value in (state or {}).items():
            self.net.get_parameter(name).copy_(value)
        unit = 1 if takes == UINT8 else 255  # the extractor's statistics are in units of uint8 pixels
        self.register_buffer("mean", extractor.mean.cpu() / unit)
        self.register_buffer("std", extractor.std.cpu() / unit)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        pixels = (frames.to(self.mean.dtype) - self.mean) / self.std
        features: Tensor = self.net(pixels.contiguous(memory_format=self.order))
        return features


class AnswerGraph(nn.Module):
    """Features (n, width) to logits (n, way), probabilities (n, way) and familiarity (n,), in the order of OUTPUTS.

    It computes the same as `confidences` and `Familiarity`, but in float32 and with operations that exporters can
    trace.
    """

    means: Tensor

    def __init__(self, head: FittedHead, means: Tensor, calibration: Calibration) -> None:
        """Copies what it needs. means: the objects' means, see `object_means`, (way, width)."""
        super().__init__()
        self._head = head
        tensors = {name: nn.Parameter(value.cpu(), requires_grad=False) for name, value in every_tensor(head).items()}
        self.head = nn.ParameterDict(tensors)  # where exporters look for them
        self.register_buffer("means", means.cpu())
        self.temperature, self.familiarity = calibration.temperature, calibration.familiarity

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        logits = with_tensors(self._head, dict(self.head.items())).logits(features)
        shares = (logits / self.temperature).softmax(1)
        probabilities = (1 - SMOOTHING) * shares + SMOOTHING / len(self.means)
        of_score = self.familiarity.score_weight * logits.amax(1)
        of_cosine = self.familiarity.cosine_weight * nearest_cosine(features, self.means)
        return logits, probabilities, of_score + of_cosine + self.familiarity.offset


class PersonalGraph(nn.Module):
    """Both halves together: the scores of PersonalRecognizer, and the logits. On the CPU, in eval mode."""

    def __init__(self, features: FeatureGraph, answers: AnswerGraph) -> None:
        super().__init__()
        self.features = features
        self.answers = answers

    @classmethod
    @torch.no_grad()
    def of(cls, personal: PersonalRecognizer, *, takes: str = UINT8, channels_last: bool = False) -> "PersonalGraph":
        """Copy a recognizer, which is not changed. takes: UINT8 or FLOAT."""
        fitted = personal.fitted
        extractor = fitted.recognizer.extractor
        features = FeatureGraph(extractor, fitted.state, takes=takes, channels_last=channels_last)
        return cls(features, AnswerGraph(fitted.head, personal.support.means(), personal.calibration)).eval()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames, with pixel values as `takes` says, to OUTPUTS."""
        answers: tuple[Tensor, Tensor, Tensor] = self.answers(self.features(frames))
        return answers
