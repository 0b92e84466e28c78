"""The state of a training run on disk: all that it needs to resume, with a hash, and its curve."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundwork.errors import DataError
from groundwork.files import csv_text, whole_file, write_text
from orbit_lite.models.hashed_file import content_sha256
from orbit_lite.models.recognizer import Recognizer

_LOG = logging.getLogger("orbit_lite")

CURVE_COLUMNS = ("step", "epoch", "learning_rate", "loss", "accuracy", "validation_frame_accuracy")
FORMAT = 2
UNHASHED_FORMAT = 1  # before states had a hash


@dataclass(frozen=True)
class TrainingState:
    """The number of finished steps, the best validation frame accuracy (a fraction; -1 before the first), its step, and
    the curve.

    Each row of the curve has the values of CURVE_COLUMNS; loss and accuracy are means over the step's tasks.
    """

    step: int = 0
    best: float = -1.0
    best_step: int = 0
    curve: tuple[tuple[Any, ...], ...] = ()


def save_state(path: Path, state: TrainingState, recognizer: Recognizer, optimizer: torch.optim.Optimizer) -> None:
    """Write state, weights and optimizer atomically into one file, so that they always belong together."""
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
        torch.save(content | {"sha256": _sha256(content)}, file)


def load_state(path: Path, recognizer: Recognizer, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Restore weights and optimizer, or leave them as built if the run has no state yet.

    A state without a hash, from an earlier release, is loaded with a note in the log.

    Raises:
        DataError: if the file is damaged, altered or of another version.
    """
    if not path.is_file():
        return TrainingState()
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        _check(content, path)
        recognizer.load_state_dict(content["recognizer"])
        optimizer.load_state_dict(content["optimizer"])
        curve = tuple(tuple(row) for row in content["curve"])
        return TrainingState(content["step"], content["best"], content["best_step"], curve)
    except Exception as error:  # torch.load raises many types of errors for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: the run can't resume from this file ({reason}); delete it to start from the beginning"
        ) from error


def _check(content: dict[str, Any], path: Path) -> None:
    """Raise ValueError for another format number, or content that does not match its hash."""
    said = content.pop("sha256", None)
    if content["format"] != (UNHASHED_FORMAT if said is None else FORMAT):
        raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
    if said is None:
        _LOG.warning("note: %s: this state has no hash, so it can't be checked for damage", path)
    elif said != _sha256(content):
        raise ValueError("damaged or altered: its content does not match its hash")


def _sha256(content: dict[str, Any]) -> str:
    """The SHA-256 over all tensors and other values, with their positions."""
    tensors: dict[str, Tensor] = {}
    return content_sha256(json.dumps(_described(content, "", tensors), sort_keys=True), tensors)


def _described(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Describe nested dicts and sequences as JSON and collect the tensors in `tensors`; numbers by `repr`, which is
    exact."""
    if isinstance(value, Tensor):
        tensors[place] = value
        return "tensor"
    if isinstance(value, dict):
        return {repr(key): _described(part, f"{place}/{key!r}", tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_described(part, f"{place}/{number}", tensors) for number, part in enumerate(value)]
    return repr(value)


def write_curve(path: Path, curve: Sequence[Sequence[Any]]) -> None:
    """Write the training curve as CSV, one row per step."""
    write_text(path, csv_text(CURVE_COLUMNS, curve))
