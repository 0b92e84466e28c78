"""An experiment: the learner, tasks and settings of one meta-training run, in YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from groundwork.errors import UsageError
from groundwork.strict_model import Strict
from groundwork.words import quoted
from orbit_lite.config import Positive, ProtocolPlan, Share, find_config, parse_config, read_yaml, with_new_keys
from orbit_lite.models.adapters import find_adapter
from orbit_lite.models.gradients.film_penalty import PUBLISHED_WEIGHT
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.overrides import apply_override, refuse_doubled, stated_place


class LiteConfig(Strict):
    """How the gradient of a task is computed. `h` support items get a gradient.

    The chunks (frames encoded at once) affect speed and memory, but the result only by rounding; null depends on
    the device.

    Attributes:
        bf16: whether to run the encoders in bfloat16; null: on a GPU that supports it.
        film_penalty, film_penalty_batch: for learners that generate FiLM; see FilmPenalty, weight and batch.
    """

    estimator: Literal["lite", "exact", "full"] = "lite"
    h: Positive = 16
    encode_chunk: Positive | None = None
    gradient_chunk: Positive | None = None
    query_batch: Positive | None = None
    bf16: bool | None = None
    film_penalty: Annotated[float, Field(ge=0)] = PUBLISHED_WEIGHT
    film_penalty_batch: Positive | None = None


class OptimizerConfig(Strict):
    """Adam (weight decay as L2) or AdamW, with linear warm-up and then step or cosine decay, measured in epochs.

    Attributes:
        warmup: whether the rate rises with each `step`, or with each `epoch` as in the published code.
        decay_at_epochs: step decay is applied after these epochs; if empty, after every decay_every_epochs.
        clamp_gradient: limits each task's part of a step's gradient, and then their sum, to +- this number, element by
            element.
    """

    name: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(gt=0)]
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    extractor_lr_scale: Annotated[float, Field(gt=0)] = 1.0
    warmup_epochs: Annotated[float, Field(ge=0)] = 0
    warmup_lr: Annotated[float, Field(ge=0)] = 0.0
    warmup: Literal["step", "epoch"] = "step"
    decay: Literal["none", "step", "cosine"] = "none"
    decay_every_epochs: Positive = 15
    decay_at_epochs: tuple[Positive, ...] = ()
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    clamp_gradient: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _decays_where_it_says(self) -> Self:
        if self.decay_at_epochs and self.decay != "step":
            raise ValueError(f"decay_at_epochs needs decay 'step', but decay is {self.decay!r}")
        return self


class ValidationConfig(Strict):
    """How the best weights are chosen: by frame accuracy on validation users, averaged over videos, or over tasks of
    single images.

    Attributes:
        protocol_keys: `key=value` overrides of the protocol.
    """

    protocol: str = "orbit-2022"
    protocol_keys: tuple[str, ...] = ()
    tasks_per_user: Positive = 30
    every_epochs: Positive = 1


class ExperimentConfig(Strict):
    """One meta-training run, which gives one row of a leaderboard.

    A new key's default, here or in a part, must reproduce the behavior from before the key existed, so that older runs
    can be resumed.

    Attributes:
        epochs: 0 for a learner with nothing to meta-train: the run only writes its checkpoint.
        skip_not_finite: skip and report a step whose loss or gradient is not finite, instead of stopping.
    """

    name: str
    learner: LearnerConfig
    backbone: str
    weights: str = "pretrained"
    seed: Annotated[int, Field(ge=0)] = 1991
    frame_size_px: Positive = 224
    epochs: Annotated[int, Field(ge=0)]
    tasks_per_step: Positive = 16
    tasks: ProtocolPlan
    lite: LiteConfig = LiteConfig()
    optimizer: OptimizerConfig
    validation: ValidationConfig = ValidationConfig()
    skip_not_finite: bool = False

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if (self.epochs > 0) != self.learner.meta_learned:
            what = "something" if self.learner.meta_learned else "nothing"
            raise ValueError(f"epochs {self.epochs}, but learner {self.learner.name} has {what} to meta-train")
        return self

    @model_validator(mode="after")
    def _a_gradient_that_is_right(self) -> Self:
        reason = find_adapter(self.learner.adapter).refuses.get(self.lite.estimator)
        if reason and self.epochs:
            raise ValueError(reason)
        return self


def load_experiment(name: str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Load an experiment by built-in name or path, with `key.inner=value` overrides (values in YAML).

    Its `tasks` can be the name of a protocol, its `learner` that of a learner, and `extends` that of another
    experiment, which supplies the keys that this one lacks.
    """
    path = find_config(name, "experiment")
    content = _read_experiment(path)
    _read_tasks(content)
    refuse_doubled(overrides)
    for override in overrides:
        if override.startswith("learner.") and isinstance(content.get("learner"), str):
            # so that an override can change a single setting
            content["learner"] = load_learner(content["learner"]).model_dump()
        apply_override(content, override)
        _read_tasks(content)  # so that a later override can change a single key
    if isinstance(content.get("learner"), str):
        content["learner"] = load_learner(content["learner"]).model_dump()
    return parse_config(content, ExperimentConfig, where=stated_place(path, overrides))


def experiment_with_new_keys(found: Any) -> Any:
    """An experiment as an earlier release wrote it, with new keys; see `with_new_keys`. Before lite.bf16 existed,
    everything ran in float32."""
    if isinstance(found, dict) and isinstance(found.get("lite"), dict):
        found = found | {"lite": {"bf16": False} | found["lite"]}
    return with_new_keys(found, ExperimentConfig)


def _read_tasks(content: dict[str, Any]) -> None:
    """Replace a protocol's name by its keys."""
    if isinstance(content.get("tasks"), str):
        content["tasks"] = read_yaml(find_config(content["tasks"], "protocol"))


def _read_experiment(path: Path, depth: int = 0) -> dict[str, Any]:
    content = read_yaml(path)
    if (base := content.pop("extends", None)) is None:
        return content
    if not isinstance(base, str) or depth > 8:
        raise UsageError(f"{path}: extends {quoted(base)}: expected the name of another experiment, without a cycle")
    return _read_experiment(find_config(base, "experiment"), depth + 1) | content
