"""Where a training run stands, on disk: all it needs to resume, under a hash, and its curve."""

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
UNHASHED_FORMAT = 1  # from before states had a hash


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
    """Write state, weights and optimizer in one file, whole or not at all, so that they always belong together."""
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
    """Put weights and optimizer back as they were, or leave them as built where the run has no state yet.

    A state from before there was a hash is taken, with a note in the log.

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
    except Exception as error:  # a damaged file makes torch.load raise errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: the run can't resume from this state ({reason}); delete it to start from the beginning"
        ) from error


def _check(content: dict[str, Any], path: Path) -> None:
    """Raise ValueError for another format number, or content that is not what its hash says."""
    said = content.pop("sha256", None)
    if content["format"] != (UNHASHED_FORMAT if said is None else FORMAT):
        raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
    if said is None:
        _LOG.warning("note: %s: a state from before hashes; it can't be checked for damage", path)
    elif said != _sha256(content):
        raise ValueError("damaged or altered: its content is not what its hash says")


def _sha256(content: dict[str, Any]) -> str:
    """Over every tensor and every other value, and where each stands."""
    tensors: dict[str, Tensor] = {}
    return content_sha256(json.dumps(_described(content, "", tensors), sort_keys=True), tensors)


def _described(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """A nest of dicts and sequences as JSON, its tensors put into `tensors`; numbers by `repr`, which is exact."""
    if isinstance(value, Tensor):
        tensors[place] = value
        return "tensor"
    if isinstance(value, dict):
        return {repr(key): _described(part, f"{place}/{key!r}", tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_described(part, f"{place}/{number}", tensors) for number, part in enumerate(value)]
    return repr(value)


def write_curve(path: Path, curve: Sequence[Sequence[Any]]) -> None:
    """The training curve as CSV, one row per step."""
    write_text(path, csv_text(CURVE_COLUMNS, curve))
