"""One record per head with every fact about it that the rest of the kit needs.

No field has a default, so that a missing fact is an error, never another head's number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import Any, get_type_hints

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from groundwork.strict_model import Strict, some_faults
from orbit_lite.models.counting import PartMacs, count_leaderboard_macs, count_macs
from orbit_lite.models.heads.fitting import FittedHead, Head
from orbit_lite.models.settings import LearnerSettings

Shapes = Mapping[str, tuple[int, ...]]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class FitSize:
    """The size of a fit: the number of support items of each class, and the width of the features."""

    items_by_class: tuple[int, ...]
    width: int

    @property
    def way(self) -> int:
        """The number of classes."""
        return len(self.items_by_class)

    @property
    def items(self) -> int:
        """The total number of support items."""
        return sum(self.items_by_class)

    @property
    def class_means(self) -> int:
        """The leaderboard's count for the mean feature of each class."""
        return self.way * self.items + self.items * self.width


class Count(Enum):
    """How to find MACs without a formula."""

    # our count: all operations of the fit; the leaderboard's: thop's rules for its modules
    BY_RUNNING = "by running it"


Macs = Callable[[Any, FitSize], int] | Count  # a formula: (head, size) -> MACs


@dataclass(frozen=True, kw_only=True)
class FitMacs:
    """MACs of a head's fit, by both counts.

    part: its name in a table of costs.
    encodings: how often the leaderboard counts every support frame's encoding (including backward passes), given the
        head: once, unless the published code encodes again in each step.
    """

    ours: Macs
    leaderboard: Macs
    encodings: Callable[[Any], int] = lambda head: 1
    part: str = "head's fit"


@dataclass(frozen=True, kw_only=True)
class HeadRecord:
    """One head.

    name: its name in YAML.
    summary: what it is, in a few words.
    settings: its own keys in a learner's YAML (`head_settings`), a Strict model; NoSettings if it has none.
    build: makes the head from the learner's settings, its own settings and the width of the features.
    fitted: the class that `fit` returns, a frozen dataclass of tensors and plain settings.
    shapes: the shapes of the fitted tensors by name, given way, width and the fitted settings by name; a file must hold
        these.
    macs: the cost of fitting.
    passes_gradient: whether a gradient passes back through the fit to every support feature; otherwise no part before
        the head can be meta-trained.
    meta_learned: whether the head has weights that meta-training changes, or a function that tells this from its
        settings; see `learns`.
    adds_objects: whether it can be fitted again from stored features alone, so that objects can be added and forgotten
        without the other objects' videos.
    settle: returns the head with the settings fixed that it would choose for a support set (features, labels, videos
        and way as for `fit`); None if it chooses none.
    in_training: returns the head for a task's gradient, given the head, the estimator's name and a generator of its
        own: with the noise that meta-training adds, or, for `full`, with a gradient without approximation; None if it
        is the same head.
    """

    name: str
    summary: str
    settings: type[Strict]
    build: Callable[[LearnerSettings, Any, int], Head]
    fitted: Callable[..., FittedHead]
    shapes: Callable[[int, int, Values], Shapes]
    macs: FitMacs
    passes_gradient: bool
    meta_learned: bool | Callable[[Any], bool]
    adds_objects: bool
    settle: Callable[[Any, Tensor, Tensor, Tensor | None, int], Head] | None
    in_training: Callable[[Any, str, np.random.Generator], Head] | None

    def __post_init__(self) -> None:
        if not is_dataclass(self.fitted) or not self.tensor_names:
            raise ValueError(f"head {self.name!r}: `fitted` must be a dataclass with tensors as fields")

    def learns(self, settings: Mapping[str, Any]) -> bool:
        """Whether a head with these settings (its own, by name) has weights that meta-training changes."""
        if callable(self.meta_learned):
            return self.meta_learned(self.settings.model_validate(dict(settings)))
        return self.meta_learned

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = get_type_hints(self.fitted)
        return {field.name: hints[field.name] for field in fields(self.fitted)}  # type: ignore[arg-type]

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """The fields of the fitted head that are tensors."""
        return tuple(name for name, hint in self._hints.items() if hint is Tensor)

    def take_apart(self, fitted: FittedHead, *, way: int, width: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Split a fitted head into its tensors and its plain settings, by name: all that a file must hold.

        Raises:
            ValueError: if its class or the shapes of its tensors differ from the record.
        """
        if type(fitted) is not self.fitted:
            raise ValueError(f"head {self.name!r} returned a {type(fitted).__name__}, which differs from its record")
        tensors = {name: getattr(fitted, name) for name in self.tensor_names}
        values = {name: getattr(fitted, name) for name in self._hints if name not in tensors}
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        if (expected := dict(self.shapes(way, width, values))) != found:
            raise ValueError(f"head {self.name!r} returned tensors {found}; its record says {expected}")
        return tensors, values

    def check_values(self, values: Values) -> dict[str, Any]:
        """Convert a fitted head's plain settings, as read from a file, to the types of its fields.

        Raises:
            ValueError: if one is missing, unknown or has another type.
        """
        hints = {name: hint for name, hint in self._hints.items() if hint is not Tensor}
        if values.keys() != hints.keys():
            raise ValueError(f"settings {sorted(values)}, expected {sorted(hints)}")
        try:
            return {name: TypeAdapter(hint).validate_python(values[name]) for name, hint in hints.items()}
        except ValidationError as error:
            raise ValueError(some_faults(error)) from None

    def fit_macs(self, head: Head, features: Tensor, labels: Tensor, *, way: int) -> PartMacs:
        """MACs of fitting the head to a support set, by both counts; fits it if they are counted by running."""

        def fit() -> FittedHead:
            return head.fit(features, labels, way=way)

        size = FitSize(tuple(torch.bincount(labels, minlength=way).tolist()), features.shape[1])
        with torch.no_grad():
            ours = count_macs(fit) if self.macs.ours is Count.BY_RUNNING else self.macs.ours(head, size)
        if self.macs.leaderboard is not Count.BY_RUNNING:
            return PartMacs(self.macs.part, ours, self.macs.leaderboard(head, size))
        if not isinstance(head, nn.Module):
            raise ValueError(f"head {self.name!r} has no modules to count by thop's rules: its record needs a formula")
        return PartMacs(self.macs.part, ours, count_leaderboard_macs(head, fit))
