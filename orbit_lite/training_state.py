"""Where a training run stands, on disk: all it needs to go on, and its curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from groundwork.errors import FoundWrong
from groundwork.files import csv_text, whole_file, write_text
from orbit_lite.models.recognizer import Recognizer

CURVE_COLUMNS = ("step", "epoch", "learning_rate", "loss", "accuracy", "validation_frame_accuracy")
FORMAT = 1


@dataclass(frozen=True)
class TrainingState:
    """Steps done, the best validation frame accuracy (a fraction; -1 before the first) and its step, the curve.

    A row of the curve has a value for each of CURVE_COLUMNS; loss and accuracy are means over the step's tasks.
    """

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    curve: tuple[tuple[Any, ...], ...] = ()


def save_state(path: Path, state: TrainingState, recognizer: Recognizer, optimizer: torch.optim.Optimizer) -> None:
    """Write state, weights and optimiser in one file, whole or not at all, so that they always belong together."""
    content = {
        "format": FORMAT,
        "step": state.step,
        "best": state.best,
        "best_step": state.best_step,
        "curve": [list(row) for row in state.curve],
        "recognizer": recognizer.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with whole_file(path) as file:
        torch.save(content, file)


def load_state(path: Path, recognizer: Recognizer, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Put weights and optimiser back as they were, or leave them as built where the run has no state yet.

    Raises:
        FoundWrong: if the file is damaged or of another version.
    """
    if not path.is_file():
        return TrainingState()
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
        recognizer.load_state_dict(content["recognizer"])
        optimizer.load_state_dict(content["optimizer"])
        curve = tuple(tuple(row) for row in content["curve"])
        return TrainingState(content["step"], content["best"], content["best_step"], curve)
    except Exception as error:  # a damaged file makes torch.load raise errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FoundWrong(f"{path}: the run can't go on from this state ({reason}); delete it to start anew") from error


def write_curve(path: Path, curve: Sequence[Sequence[Any]]) -> None:
    """The training curve as CSV, one row a step."""
    write_text(path, csv_text(CURVE_COLUMNS, curve))
