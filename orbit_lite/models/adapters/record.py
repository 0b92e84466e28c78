"""One record per adapter: its settings in a learner's YAML, and the parts that it works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from groundwork.strict_model import Strict
from orbit_lite.models.adapters.interface import Adapter
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.settings import LearnerSettings


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """One adapter. No field has a default, so that a missing fact is an error.

    name: its name in YAML.
    summary: what it does, in a few words.
    settings: its own keys in a learner's YAML (`adapter_settings`), a Strict model; NoSettings if it has none.
    build: makes the adapter from the learner's settings, its own settings and the extractor.
    heads: names of the heads that it fits together with the extractor, the only ones that it works with; () if any head
        can be fitted to the features.
    passes_gradient: whether a gradient passes back through its fit to every support item.
    meta_learned: whether it has weights that meta-training changes, or a function that tells this from its settings;
        see `learns`.
    refuses: estimators of the meta-gradient that would be wrong for it, by name, with the reason.
    published: prefixes of its parameters' names, and their prefixes in published checkpoints.
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
        """Whether an adapter with these settings (its own, by name) has weights that meta-training changes."""
        if callable(self.meta_learned):
            return self.meta_learned(self.settings.model_validate(dict(settings)))
        return self.meta_learned
