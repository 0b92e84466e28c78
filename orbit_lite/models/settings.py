"""Settings in a learner's YAML: those that its parts share, and the base for each part's own."""

from typing import Protocol

from groundwork.strict_model import Strict


class LearnerSettings(Protocol):
    """The settings that all parts of a learner share; see LearnerConfig."""

    @property
    def steps(self) -> int:
        """The number of full-batch gradient steps, for parts that are fitted by steps."""
        ...

    @property
    def step_lr(self) -> float:
        """The learning rate of these steps."""
        ...

    @property
    def published_quirks(self) -> bool:
        """Whether to follow the published code where it differs from the paper."""
        ...


class NoSettings(Strict):
    """The settings of a part that has none of its own."""
