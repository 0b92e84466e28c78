"""One record per adapter: what a learner's YAML may say of it, and which parts it goes with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from groundwork.strict_model import Strict
from orbit_lite.models.adapters.interface import Adapter
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.settings import LearnerSettings


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """One adapter. No field has a default: a fact that is missing is an error.

    name: what YAML calls it. summary: what it does, in a few words.
    settings: its own keys in a learner's YAML (`adapter_settings`), a Strict model; NoSettings if it has none.
    build: the learner's settings, its own, and the extractor it is for, to the adapter.
    heads: names of the heads that it fits itself, together with the extractor, and the only ones it goes with; () if
        any head may be fitted to the features.
    passes_gradient: whether a gradient goes back through its fit to every support item.
    meta_learned: whether it has weights that meta-training changes, or how to tell from its settings; see `learns`.
    refuses: estimators of the meta-gradient that would be wrong through it, by name, each with the reason.
    published: beginnings of its parameters' names, and of their names in published checkpoints.
    """

    name: str
    summary: str
    settings: type[Strict]
    build: Callable[[LearnerSettings, Any, Extractor], Adapter]
    heads: tuple[str, ...]
    passes_gradient: bool
    meta_learned: bool | Callable[[Any], bool]
    refuses: Mapping[str, str]
    published: Mapping[str, str]

    def learns(self, settings: Mapping[str, Any]) -> bool:
        """Whether one with these settings (of its own, by name) has weights that meta-training changes."""
        if callable(self.meta_learned):
            return self.meta_learned(self.settings.model_validate(dict(settings)))
        return self.meta_learned
