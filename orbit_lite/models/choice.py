"""What `--model`, `--backbone` and `--weights` name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from groundwork.files import file_sha256
from groundwork.words import nearest
from orbit_lite.config import YAML_SUFFIXES
from orbit_lite.models.checkpoint import build_from, load_recognizer
from orbit_lite.models.learner import LearnerConfig, learner_names, load_learner
from orbit_lite.models.recognizer import Recognizer


@dataclass(frozen=True)
class ModelChoice:
    """The model that `--model`, `--backbone` and `--weights` select: a checkpoint, or a learner (built in, or a YAML
    file) that is not meta-trained.

    `weights` is "pretrained", "random" or a file; "" if the model is a checkpoint.
    """

    model: str
    backbone: str = ""
    weights: str = ""
    seed: int = 1991

    def load(self) -> Recognizer:
        """Read or build the recognizer on the CPU.

        Raises:
            UsageError: for an unknown learner or backbone, or a missing file.
            DataError: if the file is not a checkpoint.
        """
        learner = self._learner()
        if learner is not None:
            if not self.backbone:
                raise UsageError(f"--model {self.model} is a learner; it needs --backbone (and optionally --weights)")
            return build_from(learner, self.backbone, weights=self._weights, seed=self.seed)
        path = Path(self.model)
        if not path.is_file():
            known = learner_names()
            raise UsageError(
                f"--model {self.model}: neither a checkpoint file nor a learner{nearest(self.model, known)}; "
                f"learners: {', '.join(known)}"
            )
        return load_recognizer(path)

    def describe(self) -> dict[str, Any]:
        """The model's identity: a checkpoint's content, regardless of its path, or a learner's composition."""
        learner = self._learner()
        if learner is None:
            return {"checkpoint": Path(self.model).name, "sha256": file_sha256(Path(self.model))}
        composed = {"learner": learner.name, "composition": learner.model_dump(mode="json", exclude={"name"})}
        return composed | {"backbone": self.backbone, "weights": self._weights, "seed": self.seed}

    @property
    def _weights(self) -> str:
        """The backbone's weights if the model is a learner; `tiny` has no pretrained weights."""
        return self.weights or ("random" if self.backbone == "tiny" else "pretrained")

    def _learner(self) -> LearnerConfig | None:
        named = self.model in learner_names() or Path(self.model).suffix in YAML_SUFFIXES
        return load_learner(self.model) if named else None


# The start for personalizing if no model is given. Its weights are installed with the kit, so it needs no network;
# `ridge` is the most accurate closed-form head on real photos (docs/learners.md).
EMBEDDED_START = ModelChoice("ridge_two_views", "efficientnet_lite0", "pretrained")
EMBEDDED_START_TEXT = (
    "no --model given: starting from EfficientNet-Lite0 with ImageNet weights and a ridge head, not meta-trained; "
    "use --model to start from a checkpoint that was meta-trained on ORBIT"
)


def choose_start(model: str | None, backbone: str, weights: str) -> ModelChoice:
    """The model that the options select, or the embedded start if they select none.

    Raises:
        UsageError: for a backbone or weights without a model.
    """
    if model is not None:
        return ModelChoice(model, backbone, weights)
    if backbone or weights:
        given = "--backbone" if backbone else "--weights"
        raise UsageError(f"{given} also needs --model with a learner's name, such as --model ridge")
    return EMBEDDED_START
