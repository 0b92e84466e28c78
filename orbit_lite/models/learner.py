"""A learner: the names and settings of the parts that make a recognizer, as written in YAML."""

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
    """A learner as a composition: an adapter, a head, and whether the extractor is meta-trained.

    head: a name in the table of heads.
    head_settings: the head's own keys.
    adapter: a name in the table of adapters.
    adapter_settings: the adapter's own keys.
    extractor: `learned` if its weights are meta-trained, `frozen` if they are not.
    middle_view: the side of the middle of each frame that the extractor sees again, enlarged, as a share of the frame's
        side; features are the mean over both views. None: it sees only the whole frame.
    steps, step_lr: the number of full-batch steps and their learning rate, for heads and adapters that are fitted by
        Adam or, in inner loops, by plain gradient descent.
    published_quirks: follow the published code where it differs from the paper (see docs).
    """

    name: str = ""
    head: str
    head_settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    adapter: str = "none"
    adapter_settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    extractor: Literal["learned", "frozen"]
    # left out of files if None, so that those of other learners stay as earlier releases wrote them
    middle_view: Annotated[float | None, Field(gt=0, lt=1, exclude_if=lambda value: value is None)] = None
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    step_lr: Annotated[float, Field(gt=0)] = 1e-3
    published_quirks: bool = False

    @property
    def meta_learned(self) -> bool:
        """Whether it has any weights that meta-training can change."""
        of_adapter = find_adapter(self.adapter).learns(self.adapter_settings)
        return self.extractor == "learned" or of_adapter or find_head(self.head).learns(self.head_settings)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # the settings are dicts, which are not hashable

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
        head = info.data.get("head")  # missing if it is unknown, which is another error
        return checked_settings(given, find_head(head).settings) if head else given

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        adapter, head = find_adapter(self.adapter), find_head(self.head)
        if adapter.heads and self.head not in adapter.heads:
            names = " or ".join(map(repr, adapter.heads))
            raise ValueError(f"adapter {self.adapter!r} only works with head {names}")
        passes = adapter.passes_gradient and (head.passes_gradient or bool(adapter.heads))
        if not passes and self.meta_learned:
            blocking = f"head {self.head!r}" if adapter.passes_gradient else f"adapter {self.adapter!r}"
            learned = ", ".join(repr(name) for name, record in ADAPTERS.items() if record.meta_learned)
            raise ValueError(
                f"{blocking} passes no gradient to the support set, so nothing can be meta-trained through it; "
                f"use extractor 'frozen', and no meta-learned adapter ({learned})"
            )
        return self


def learner_names() -> list[str]:
    """The names of the built-in learners and of those that installed packages add."""
    return sorted({*builtin_names("learner"), *LEARNER.added()})


def load_learner(name: str) -> LearnerConfig:
    """Load a learner by name (built in, or from an installed package) or by path of a YAML file.

    If the file has no `name`, the learner gets the name of the file or entry point. An entry point refers to a package
    that holds NAME.yaml, or to a LearnerConfig.

    Raises:
        UsageError: for an unknown name (the message lists similar and known names), an invalid config, or a broken
            package.
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
