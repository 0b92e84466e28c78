"""YAML to frozen, typed objects. Strict: an unknown key names the file, the key and the nearest known key."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from groundwork.errors import UsageError
from groundwork.strict_model import REFUSED, Strict, some_faults, validator_error
from groundwork.words import nearest, quoted
from orbit_lite.episode_plan import EPISODES, AnyEpisodes, FixedEpisodes, RandomEpisodes, WholeEpisodes
from orbit_lite.overrides import apply_overrides
from orbit_lite.strict_yaml import parse_yaml, read_yaml_text

Kind = Literal["protocol", "learner", "experiment", "suite"]
VideoType = Literal["clean", "clutter"]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class FrameChoice(Strict):
    """Which of a video's valid frames a task takes.

    sample: `every` frame; `uniform`, each `step`-th from the first, but of stills every one where `every_still` is set;
    `random`, `at_most` drawn at random; `random_number`, 1 to `at_most` drawn at random; `clips`, `clips` runs of
    clip_length frames drawn at random.
    fill_last_clip: a video's last frames, too few for a clip, are one that is filled up with copies of the very last;
    without it they are in no clip.
    """

    sample: Literal["every", "uniform", "random", "random_number", "clips"]
    step: Positive = 30
    every_still: bool = False
    at_most: Positive = 200
    clips: Positive = 8
    fill_last_clip: bool = False


class SetPlan(Strict):
    """One set of a task, support or query: whose videos, which of them, which frames.

    videos: `all`; `first`, the first min(count, n - 1) by name; `rest`, those that `first` leaves; `random`, 1 to n.
    max_videos: an object's, drawn at random where there are more, as the plan's own cap is; None is no cap beside it.
    without: annotated issues a frame must not have. min_frames: fewer valid frames and the video is out.
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

    A key that is added has a default that stands for what was done without it; see `as_written_now`.

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

    @property
    def tasks(self) -> None:
        """No number of tasks in all: each user has the same, see `tasks_per_user`."""
        return None


ConfigT = TypeVar("ConfigT", bound=BaseModel)
YAML_SUFFIXES = (".yaml", ".yml")


def configs_folder() -> Path:
    """The folder of built-in YAML files: inside the installed package, or beside it in a checkout."""
    shipped = Path(str(resources.files("orbit_lite"))) / "configs"
    return shipped if shipped.is_dir() else Path(__file__).resolve().parent.parent / "configs"


def builtin_names(kind: Kind) -> list[str]:
    """Names of the built-in configs of one kind; those of a benchmark's folder begin with its name and `/`."""
    folder = configs_folder() / kind
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def find_config(name: str, kind: Kind) -> Path:
    """The YAML file for a built-in name or a path.

    Raises:
        UsageError: if there is none; names the nearest built-in.
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

    An overridden protocol is another one, so its name says what was overridden, unless that is the name.
    """
    path = find_config(name, "protocol")
    content = read_yaml(path)
    apply_overrides(content, overrides)
    if overrides and not any(one.startswith("name=") for one in overrides):
        content["name"] = ", ".join([str(content.get("name")), *overrides])
    return parse_config(content, plan_model(content, where=str(path)), where=str(path))


def load_video_protocol(name: str) -> TaskPlan:
    """A protocol of users' videos, as `load_protocol`.

    Raises:
        UsageError: also if it is of episodes on still images.
    """
    plan = load_protocol(name)
    if not isinstance(plan, TaskPlan):
        raise UsageError(f"{name}: of episodes on still images; expected a protocol of users' videos")
    return plan


def load_episodes(name: str, overrides: Sequence[str] = ()) -> AnyEpisodes:
    """A protocol of episodes on still images, as `load_protocol`.

    Raises:
        UsageError: also if it is of users' videos.
    """
    plan = load_protocol(name, overrides)
    if isinstance(plan, TaskPlan):
        raise UsageError(f"{name}: of users' videos; expected a protocol of episodes on still images")
    return plan


def plan_model(content: Mapping[str, Any], *, where: str) -> type[TaskPlan] | type[AnyEpisodes]:
    """What a protocol's mapping is to be read as: it says `episodes` of which kind, or is of a user's videos.

    Raises:
        UsageError: for an unknown kind.
    """
    if (kind := content.get("episodes")) is None:
        return TaskPlan
    if kind not in EPISODES:
        raise UsageError(f"{where}: {UNKNOWN_EPISODES}, got {quoted(kind)}{nearest(str(kind), EPISODES)}")
    return EPISODES[kind]


def _plan_tag(content: object) -> str | None:
    """Which of ProtocolPlan's kinds a value is; None if none."""
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
    """A plain mapping (from YAML, from a checkpoint) as a typed, frozen object; `where` names it in errors."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {some_faults(error, model)}") from None


def as_written_now(found: Any, model: type[BaseModel]) -> Any:
    """What an earlier release wrote of a model, with the keys that were added since, at their defaults.

    What is no such model, or another release's, is given back as it is.
    """
    try:
        return model.model_validate(found).model_dump(mode="json")
    except ValidationError:
        return found


def checked_settings(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """A part's own settings, checked and complete: plain values for every key of its model.

    Raises:
        PydanticCustomError: for the validator of the config they stand in; one line.
    """
    try:
        return model.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        raise validator_error(some_faults(error, model)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UsageError: if it can't be read, or holds something else.
    """
    content = parse_yaml(read_yaml_text(path), where=str(path))
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    return content
