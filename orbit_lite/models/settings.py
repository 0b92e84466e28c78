"""What a learner's YAML says to its parts: settings that they share, and each part's own."""

from typing import Protocol

from groundwork.strict_model import Strict


class LearnerSettings(Protocol):
    """What a learner says to all of its parts; see LearnerConfig."""

    @property
    def steps(self) -> int:
        """Full-batch gradient steps, of what is fitted by steps."""
        ...

    @property
    def step_lr(self) -> float:
        """Their rate."""
        ...

    @property
    def published_quirks(self) -> bool:
        """Whether to compute what the published code computes where that is not what the paper says."""
        ...


class NoSettings(Strict):
    """Of a part without settings of its own."""
