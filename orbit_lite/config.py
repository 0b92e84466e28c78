"""Reads YAML into frozen, typed objects. An error for an unknown key names the file, the key and the nearest known
key."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from groundwork.errors import UsageError
from groundwork.strict_model import REFUSED, Strict, some_faults, validator_error
from groundwork.words import nearest, quoted
from orbit_lite.episode_plan import EPISODES, AnyEpisodes, FixedEpisodes, RandomEpisodes, WholeEpisodes
from orbit_lite.overrides import apply_overrides, stated_place
from orbit_lite.strict_yaml import parse_yaml, read_yaml_text

ConfigKind = Literal["protocol", "learner", "experiment", "suite"]
VideoType = Literal["clean", "clutter"]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class FrameChoice(Strict):
    """Which of a video's valid frames a task takes.

    sample: `every` takes every frame; `uniform` takes each `step`-th frame from the first, or every frame of a set of
        still photos if `every_still` is set; `random` draws `at_most` frames; `random_number` draws 1 to `at_most`
        frames; `clips` draws `clips` runs of clip_length frames.
    fill_last_clip: if a video's last frames are too few for a clip, copies of the last frame fill the clip up;
        otherwise these frames are in no clip.
    """

    sample: Literal["every", "uniform", "random", "random_number", "clips"]
    step: Positive = 30
    every_still: bool = False
    at_most: Positive = 200
    clips: Positive = 8
    fill_last_clip: bool = False


class SetPlan(Strict):
    """The support set or query set of a task: which videos and which of their frames it takes.

    videos: of an object's n videos, `all`; `first` takes the first min(count, n - 1) by name; `rest` takes those that
        `first` leaves; `random` draws 1 to n.
    max_videos: the most videos per object, drawn at random if there are more, in addition to the plan's own cap; None
        means no further cap.
    without: annotated issues that a frame must not have.
    min_frames: a video with fewer valid frames is left out.
    """

    video_type: VideoType
    videos: Literal["all", "first", "rest", "random"] = "all"
    count: Positive = 5
    max_videos: Positive | None = None
    without: tuple[str, ...] = ()
    min_frames: Positive = 1
    frames: FrameChoice


class TaskPlan(Strict):
    """How tasks are drawn from one user's videos: a protocol, or the random tasks of meta-training.

    A new key's default must reproduce the behavior from before the key existed; see `with_new_keys`.

    way: `all` takes every object; `random` draws 2 to min(objects, max_objects). The caps are those of the published
        code: first_frames per video (after filtering), max_videos per object and set, max_objects per task; None means
        no cap.
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
            raise ValueError("query videos 'rest' and support videos 'first' must be used together")
        if self.query.videos == "rest" and (self.support.count, self.support.video_type) != (
            self.query.count,
            self.query.video_type,
        ):
            raise ValueError("'first' and 'rest' need the same count and video_type")
        if (self.support.frames.sample == "clips") != (self.clip_length > 1):
            raise ValueError("support frames 'clips' and a clip_length above 1 must be used together")
        return self

    @property
    def every_query_frame(self) -> bool:
        """Whether a task predicts every frame of its query videos, which metrics over time need."""
        return self.query.frames.sample == "every" and not self.query.without

    @property
    def tasks(self) -> None:
        """None: the number of tasks is set per user, by `tasks_per_user`, not in total."""
        return None


ConfigT = TypeVar("ConfigT", bound=BaseModel)
YAML_SUFFIXES = (".yaml", ".yml")


def configs_folder() -> Path:
    """The folder of built-in YAML files: inside the installed package, or next to the package in a checkout."""
    shipped = Path(str(resources.files("orbit_lite"))) / "configs"
    return shipped if shipped.is_dir() else Path(__file__).resolve().parent.parent / "configs"


def builtin_names(kind: ConfigKind) -> list[str]:
    """Names of the built-in configs of one kind, with the subfolder in front, such as `vtab-md/…`, for those in one."""
    folder = configs_folder() / kind
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def find_config(name: str, kind: ConfigKind) -> Path:
    """The YAML file for a built-in name or a path.

    Raises:
        UsageError: if there is no such config; the message names the nearest built-in.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        if path.is_file():
            return path
        raise UsageError(f"{name}: no such file; expected a {kind} in YAML or one of {', '.join(builtin_names(kind))}")
    known = builtin_names(kind)
    if name not in known:
        raise UsageError(f"unknown {kind} {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return configs_folder() / kind / f"{name}.yaml"


def load_protocol(name: str, overrides: Sequence[str] = ()) -> TaskPlan | AnyEpisodes:
    """A protocol by built-in name or path of a YAML file, with `key.inner=value` overrides.

    An overridden protocol is a different protocol, so the overrides become part of its name, unless they set the name.
    """
    path = find_config(name, "protocol")
    content = read_yaml(path)
    apply_overrides(content, overrides)
    if overrides and not any(one.startswith("name=") for one in overrides):
        content["name"] = ", ".join([str(content.get("name")), *overrides])
    where = stated_place(path, overrides)
    return parse_config(content, plan_model(content, where=where), where=where)


def load_video_protocol(name: str) -> TaskPlan:
    """Load a protocol for users' videos; see `load_protocol`.

    Raises:
        UsageError: also if the protocol is for episodes on still images.
    """
    plan = load_protocol(name)
    if not isinstance(plan, TaskPlan):
        raise UsageError(f"{name}: this protocol is for episodes on still images; expected one for users' videos")
    return plan


def load_episodes(name: str, overrides: Sequence[str] = ()) -> AnyEpisodes:
    """Load a protocol for episodes on still images; see `load_protocol`.

    Raises:
        UsageError: also if the protocol is for users' videos.
    """
    plan = load_protocol(name, overrides)
    if isinstance(plan, TaskPlan):
        raise UsageError(f"{name}: this protocol is for users' videos; expected one for episodes on still images")
    return plan


def plan_model(content: Mapping[str, Any], *, where: str) -> type[TaskPlan] | type[AnyEpisodes]:
    """The class for a protocol's mapping: its key `episodes` names a kind of episodes; without that key it is a
    TaskPlan.

    Raises:
        UsageError: for an unknown kind.
    """
    if (kind := content.get("episodes")) is None:
        return TaskPlan
    if kind not in EPISODES:
        raise UsageError(f"{where}: {UNKNOWN_EPISODES}, got {quoted(kind)}{nearest(str(kind), EPISODES)}")
    return EPISODES[kind]


def _plan_tag(content: object) -> str | None:
    """The tag of a value among ProtocolPlan's classes; None if its kind of episodes is unknown."""
    kind = content.get("episodes") if isinstance(content, Mapping) else getattr(content, "episodes", None)
    if kind is None:
        return "<videos>"
    return f"<{kind}>" if kind in EPISODES else None


UNKNOWN_EPISODES = f"episodes: expected one of {', '.join(EPISODES)}"
ProtocolPlan = Annotated[
    Annotated[TaskPlan, Tag("<videos>")]
    | Annotated[FixedEpisodes, Tag("<fixed>")]
    | Annotated[RandomEpisodes, Tag("<random>")]
    | Annotated[WholeEpisodes, Tag("<whole>")],
    Discriminator(_plan_tag, custom_error_type=REFUSED, custom_error_message=UNKNOWN_EPISODES),
]


def parse_config(content: dict[str, Any], model: type[ConfigT], *, where: str) -> ConfigT:
    """Turn a plain mapping (from YAML or a checkpoint) into a typed, frozen object; `where` names its source in
    errors."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {some_faults(error, model)}") from None


def with_new_keys(found: Any, model: type[BaseModel]) -> Any:
    """Add the keys that are new since an earlier release wrote this content, with their defaults.

    Content that does not fit the model is returned unchanged.
    """
    try:
        return model.model_validate(found).model_dump(mode="json")
    except ValidationError:
        return found


def checked_settings(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Validate a part's own settings and fill in defaults; returns plain values for every key of its model.

    Raises:
        PydanticCustomError: if they are invalid, with one line for the validator of the enclosing config.
    """
    try:
        return model.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        raise validator_error(some_faults(error, model)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        UsageError: if it can't be read, or does not hold a mapping.
    """
    content = parse_yaml(read_yaml_text(path), where=str(path))
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    return content
