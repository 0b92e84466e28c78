"""A learner: which parts make a recognizer, by name, and their settings. One line of YAML."""

from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from groundwork.errors import UsageError
from groundwork.strict_model import Strict, validator_error
from groundwork.words import nearest
from orbit_lite.config import (
    YAML_SUFFIXES,
    builtin_names,
    checked_settings,
    find_config,
    parse_config,
    read_yaml,
)
from orbit_lite.models.adapters import ADAPTERS, find_adapter
from orbit_lite.models.heads import find_head
from orbit_lite.models.plugins import LEARNER
from orbit_lite.strict_yaml import parse_yaml


class LearnerConfig(Strict):
    """A learner as a composition: what adapts the extractor to a task, the head, and whether the extractor is learned.

    head: a name in the table of heads. head_settings: the head's own keys.
    adapter: a name in the table of adapters. adapter_settings: the adapter's own keys.
    extractor: `learned`, its weights are meta-trained; `frozen`, they stay.
    steps, step_lr: full-batch steps of heads and adapters that are fitted by steps, and their rate: Adam's, or plain
        gradient descent's in inner loops.
    published_quirks: compute what the published code computes where that is not what the paper says (see docs).
    """

    name: str = ""
    head: str
    head_settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    adapter: str = "none"
    adapter_settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    extractor: Literal["learned", "frozen"]
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    step_lr: Annotated[float, Field(gt=0)] = 1e-3
    published_quirks: bool = False

    @property
    def meta_learned(self) -> bool:
        """Whether there is anything that meta-training could change."""
        of_adapter = find_adapter(self.adapter).learns(self.adapter_settings)
        return self.extractor == "learned" or of_adapter or find_head(self.head).learns(self.head_settings)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # the settings are dicts, which have none

    @field_validator("head")
    @classmethod
    def _known_head(cls, name: str) -> str:
        try:
            return find_head(name).name
        except UsageError as error:
            raise validator_error(str(error)) from None

    @field_validator("adapter")
    @classmethod
    def _known_adapter(cls, name: str) -> str:
        try:
            return find_adapter(name).name
        except UsageError as error:
            raise validator_error(str(error)) from None

    @field_validator("adapter_settings")
    @classmethod
    def _settings_of_the_adapter(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        adapter = info.data.get("adapter")
        return checked_settings(given, find_adapter(adapter).settings) if adapter else given

    @field_validator("head_settings")
    @classmethod
    def _settings_of_the_head(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        head = info.data.get("head")  # absent where it is unknown, which has its own error
        return checked_settings(given, find_head(head).settings) if head else given

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        adapter, head = find_adapter(self.adapter), find_head(self.head)
        if adapter.heads and self.head not in adapter.heads:
            names = " or ".join(map(repr, adapter.heads))
            raise ValueError(f"adapter {self.adapter!r} is fitted together with head {names}, and with no other")
        passes = adapter.passes_gradient and (head.passes_gradient or bool(adapter.heads))
        if not passes and self.meta_learned:
            blocking = f"head {self.head!r}" if adapter.passes_gradient else f"adapter {self.adapter!r}"
            learned = ", ".join(repr(name) for name, record in ADAPTERS.items() if record.meta_learned)
            raise ValueError(
                f"{blocking} passes no gradient to the support set, so nothing can be meta-trained through it:"
                f" give it extractor 'frozen', and no adapter that is meta-learned ({learned})"
            )
        return self


def learner_names() -> list[str]:
    """Names of the built-in learners, and of those that installed packages add."""
    return sorted({*builtin_names("learner"), *LEARNER.added()})


def load_learner(name: str) -> LearnerConfig:
    """A learner by name (built in, or from an installed package) or path of a YAML file.

    Without a `name` of its own it bears the file's, or its entry point's. A package's entry point is a package that
    holds NAME.yaml, or a LearnerConfig.

    Raises:
        UsageError: for an unknown name (says which are near, and which there are), a config with a fault, or a package
            that is broken.
    """
    if name in builtin_names("learner"):
        LEARNER.refuse_taken(name)
    elif name in LEARNER.added():
        return _added_learner(name)
    elif Path(name).suffix not in YAML_SUFFIXES:
        known = learner_names()
        raise UsageError(f"unknown learner {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    path = find_config(name, "learner")
    return parse_config({"name": path.stem, **read_yaml(path)}, LearnerConfig, where=str(path))


def _added_learner(name: str) -> LearnerConfig:
    found, where = LEARNER.load(name)
    if isinstance(found, LearnerConfig):
        return found.model_copy(update={"name": found.name or name})
    file_name = f"{name}.yaml"
    if not isinstance(found, ModuleType) or not (file := resources.files(found) / file_name).is_file():
        raise UsageError(f"{where}: expected a package that holds {file_name}, or a LearnerConfig")
    content = parse_yaml(file.read_text(encoding="utf-8"), where=f"{where}, {file_name}")
    if not isinstance(content, dict):
        raise UsageError(f"{where}, {file_name}: expected a mapping of keys, got {type(content).__name__}")
    return parse_config({"name": name, **content}, LearnerConfig, where=f"{where}, {file_name}")
