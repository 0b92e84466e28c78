"""YAML to frozen, typed objects. Strict: an unknown key names the file, the key and the nearest known key."""

import difflib
import types
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from groundwork.errors import AskedWrong
from orbit_lite.strict_yaml import parse_yaml

Kind = Literal["protocol", "learner", "experiment"]
VideoType = Literal["clean", "clutter"]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Strict(BaseModel):
    """Frozen; no key that it does not know, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FrameChoice(Strict):
    """Which of a video's valid frames a task takes.

    sample: `every` frame; `uniform`, each `step`-th from the first; `random`, `at_most` drawn at random;
    `random_number`, 1 to `at_most` drawn at random; `clips`, `clips` runs of clip_length frames drawn at random.
    """

    sample: Literal["every", "uniform", "random", "random_number", "clips"]
    step: Positive = 30
    at_most: Positive = 200
    clips: Positive = 8


class SetPlan(Strict):
    """One set of a task, support or query: whose videos, which of them, which frames.

    videos: `all`; `first`, the first min(count, n - 1) by name; `rest`, those that `first` leaves; `random`, 1 to n.
    without: annotated issues a frame must not have. min_frames: fewer valid frames and the video is out.
    """

    video_type: VideoType
    videos: Literal["all", "first", "rest", "random"] = "all"
    count: Positive = 5
    without: tuple[str, ...] = ()
    min_frames: Positive = 1
    frames: FrameChoice


class TaskPlan(Strict):
    """How tasks are drawn from one user's videos: a protocol, or the random tasks of meta-training.

    way: `all` objects, or `random`, 2 to min(objects, max_objects). The caps are those of the published code:
    first_frames of a video (after filtering), max_videos an object and set, max_objects a task; None is no cap.
    """

    name: str
    needs_splits: bool = True
    tasks_per_user: Positive
    way: Literal["all", "random"] = "all"
    clip_length: Positive = 1
    first_frames: Positive | None = 1000
    max_videos: Positive | None = 15
    max_objects: Annotated[int, Field(ge=2)] | None = 15
    support: SetPlan
    query: SetPlan

    @model_validator(mode="after")
    def _sets_fit_together(self) -> Self:
        if (self.query.videos == "rest") != (self.support.videos == "first"):
            raise ValueError("query videos 'rest' goes with support videos 'first', and only with it")
        if self.query.videos == "rest" and (self.support.count, self.support.video_type) != (
            self.query.count,
            self.query.video_type,
        ):
            raise ValueError("'first' and 'rest' need the same count and video_type")
        if (self.support.frames.sample == "clips") != (self.clip_length > 1):
            raise ValueError("support frames 'clips' goes with a clip_length above 1, and only with it")
        return self

    @property
    def every_query_frame(self) -> bool:
        """Whether a task predicts a query video in full, so that time-ordered metrics keep their meaning."""
        return self.query.frames.sample == "every" and not self.query.without


class LearnerConfig(Strict):
    """A learner as a composition: what adapts the extractor to a task, the head, and whether the extractor is learned.

    adapter: `none`; `generator`, FiLM parameters from a set encoder; `steps`, FiLM parameters by gradient steps.
    extractor: `learned`, its weights are meta-trained; `frozen`, they stay.
    steps, step_lr: full-batch Adam of heads and adapters that are fitted by steps.
    published_quirks: compute what the published code computes where that is not what the paper says (see docs).
    """

    name: str = ""
    head: Literal["proto", "cosine", "versa", "mahalanobis", "linear", "logistic"]
    adapter: Literal["none", "generator", "steps"] = "none"
    extractor: Literal["learned", "frozen"]
    steps: Positive = 50
    step_lr: Annotated[float, Field(gt=0)] = 1e-3
    published_quirks: bool = False

    @property
    def meta_learned(self) -> bool:
        """Whether there is anything that meta-training could change."""
        return self.extractor == "learned" or self.adapter == "generator" or self.head == "versa"

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.adapter == "steps" and self.head != "linear":
            raise ValueError("adapter 'steps' is fitted together with head 'linear', and with no other")
        if self.head in ("linear", "logistic") and self.meta_learned:
            raise ValueError(
                f"head {self.head!r} passes no gradient to the support set, so nothing can be meta-trained through it:"
                " give it extractor 'frozen', and no adapter 'generator'"
            )
        return self


class LiteConfig(Strict):
    """How the gradient of a task is had. `h` support items get one.

    The chunks (frames encoded at once) set speed and memory, and the result by rounding only; null is by device.
    bf16: run the encoders in bfloat16; null is where there is a GPU built for it.
    """

    estimator: Literal["lite", "exact", "full"] = "lite"
    h: Positive = 16
    encode_chunk: Positive | None = None
    gradient_chunk: Positive | None = None
    query_batch: Positive | None = None
    bf16: bool | None = None


class OptimizerConfig(Strict):
    """Adam (weight decay as L2) or AdamW, with linear warm-up and then step or cosine decay, counted in epochs."""

    name: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(gt=0)]
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    extractor_lr_scale: Annotated[float, Field(gt=0)] = 1.0
    warmup_epochs: Annotated[float, Field(ge=0)] = 0
    warmup_lr: Annotated[float, Field(ge=0)] = 0.0
    decay: Literal["none", "step", "cosine"] = "none"
    decay_every_epochs: Positive = 15
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.5


class ValidationConfig(Strict):
    """How the best weights are chosen: frame accuracy, per video, on validation users only."""

    protocol: str = "orbit-2022"
    tasks_per_user: Positive = 30
    every_epochs: Positive = 1


class ExperimentConfig(Strict):
    """One meta-training run, and by it one row of a leaderboard.

    epochs: 0 for a learner with nothing to meta-train: the run only writes its checkpoint.
    skip_not_finite: leave a step out whose loss or gradient is not finite, and say so, instead of stopping.
    """

    name: str
    learner: LearnerConfig
    backbone: str
    weights: str = "pretrained"
    seed: Annotated[int, Field(ge=0)] = 1991
    frame_size_px: Positive = 224
    epochs: Annotated[int, Field(ge=0)]
    tasks_per_step: Positive = 16
    tasks: TaskPlan
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


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def configs_folder() -> Path:
    """The folder of built-in YAML files: inside the installed package, or beside it in a checkout."""
    shipped = Path(str(resources.files("orbit_lite"))) / "configs"
    return shipped if shipped.is_dir() else Path(__file__).resolve().parent.parent / "configs"


def builtin_names(kind: Kind) -> list[str]:
    """Names of the built-in configs of one kind."""
    return sorted(path.stem for path in (configs_folder() / kind).glob("*.yaml"))


def find_config(name: str, kind: Kind) -> Path:
    """The YAML file for a built-in name or a path.

    Raises:
        AskedWrong: if there is none; names the nearest built-in.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise AskedWrong(f"{name}: no such file; expected a {kind} in YAML or one of {', '.join(builtin_names(kind))}")
    known = builtin_names(kind)
    if name not in known:
        raise AskedWrong(f"unknown {kind} {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return configs_folder() / kind / f"{name}.yaml"


def load_protocol(name: str) -> TaskPlan:
    """A protocol by built-in name or path of a YAML file."""
    path = find_config(name, "protocol")
    return parse_config(_read_yaml(path), TaskPlan, where=str(path))


def load_learner(name: str) -> LearnerConfig:
    """A learner by built-in name or path of a YAML file; without a `name` of its own it bears the file's."""
    path = find_config(name, "learner")
    return parse_config({"name": path.stem, **_read_yaml(path)}, LearnerConfig, where=str(path))


def load_experiment(name: str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """An experiment by built-in name or path, with `key.inner=value` overrides (values in YAML).

    Its `tasks` may be the name of a protocol, its `learner` that of a learner, and `extends` that of another
    experiment, whose keys it has where it has none of its own: so that experiments share them.
    """
    path = find_config(name, "experiment")
    content = _read_experiment(path)
    if isinstance(content.get("tasks"), str):
        content["tasks"] = _read_yaml(find_config(content["tasks"], "protocol"))
    _refuse_doubled(overrides)
    for override in overrides:
        _override(content, override)
    if isinstance(content.get("learner"), str):
        content["learner"] = load_learner(content["learner"]).model_dump()
    return parse_config(content, ExperimentConfig, where=str(path))


def _read_experiment(path: Path, depth: int = 0) -> dict[str, Any]:
    content = _read_yaml(path)
    if (base := content.pop("extends", None)) is None:
        return content
    if not isinstance(base, str) or depth > 8:
        raise AskedWrong(f"{path}: extends {base!r}: expected the name of another experiment, not one of a ring")
    return _read_experiment(find_config(base, "experiment"), depth + 1) | content


def parse_config(content: dict[str, Any], model: type[ConfigT], *, where: str) -> ConfigT:
    """A plain mapping (from YAML, from a checkpoint) as a typed, frozen object; `where` names it in errors."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_fault(dict(fault), model) for fault in error.errors())
        raise AskedWrong(f"{where}: {faults}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing if no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AskedWrong(f"{path}: not readable as YAML: {error}") from None
    content = parse_yaml(text, where=str(path))
    if not isinstance(content, dict):
        raise AskedWrong(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    return content


def _refuse_doubled(overrides: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0]
        if key in first:
            raise AskedWrong(f"key {key!r} is given twice, {first[key]!r} and {override!r}; leave one out")
        first[key] = override


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise AskedWrong(f"{override!r}: expected key=value, for example optimizer.lr=0.001")
    *outer, last = key.split(".")
    place = content
    for name in outer:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise AskedWrong(f"{override!r}: {name!r} holds a value, not keys")
    place[last] = parse_yaml(value, where=repr(override))


def _fault(fault: dict[str, Any], model: type[BaseModel]) -> str:
    place = [str(part) for part in fault["loc"]]
    key = ".".join(place)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        return f"unknown key {key!r}{nearest(place[-1], known)}; known here: {', '.join(known)}"
    if fault["type"] == "missing":
        return f"key {key!r} is missing"
    got = "" if not place or isinstance(fault["input"], dict) else f", got {fault['input']!r}"
    return f"{key + ': ' if key else ''}{fault['msg']}{got}"


def _known_keys(model: type[BaseModel], place: Sequence[str]) -> list[str]:
    for name in place:
        field = model.model_fields.get(name)
        inner = _model_of(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        found = [_model_of(part) for part in get_args(annotation)]
        return next((part for part in found if part), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
