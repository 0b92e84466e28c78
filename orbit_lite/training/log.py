"""The training curve for TensorBoard, where it is installed and asked for. The CSV is written in any case."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from orbit_lite.training.state import CURVE_COLUMNS

FOLDER_NAME = "tensorboard"


def log_curve(run: Path, *, wanted: bool) -> Callable[[Sequence[Any]], None]:
    """A function that takes the rows of the curve as they come; it does nothing unless it is wanted.

    A run that goes on writes some of its steps again; TensorBoard shows the later of two.

    Raises:
        UsageError: if it is wanted and not installed.
    """
    if not wanted:
        return lambda row: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard: not installed; pip install 'orbit-lite[tensorboard]'") from None
    writer: Any = None

    def log(row: Sequence[Any]) -> None:
        nonlocal writer
        named = dict(zip(CURVE_COLUMNS, row, strict=True))
        step = named.pop("step")
        if writer is None:  # not before the run's folder is known to be this run's
            writer = SummaryWriter(str(run / FOLDER_NAME), purge_step=step)
        for name, value in named.items():
            if value is not None and math.isfinite(value):
                writer.add_scalar(name, value, step)
        writer.flush()

    return log
