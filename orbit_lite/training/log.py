"""What is called after each training step: a caller's function, and TensorBoard if requested.

The CSV of the curve is always written.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from orbit_lite.training.state import CURVE_COLUMNS

FOLDER_NAME = "tensorboard"

# Called after each training step with step (from 1), epoch (a fraction where the step is within one) and metrics.
OnStep = Callable[[int, float, Mapping[str, float]], object]


def step_metrics(row: Sequence[Any]) -> tuple[int, float, dict[str, float]]:
    """Step, epoch and metrics of a row of the curve, without metrics that were not measured at this step."""
    named = dict(zip(CURVE_COLUMNS, row, strict=True))
    step, epoch = named.pop("step"), named.pop("epoch")
    return step, epoch, {name: float(value) for name, value in named.items() if value is not None}


def tensorboard_log(run: Path) -> OnStep:
    """A function that writes each step's metrics to the run's folder for TensorBoard.

    A resumed run writes some of its steps again; TensorBoard shows the later values.

    Raises:
        UsageError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard: TensorBoard is not installed; pip install 'orbit-lite[tensorboard]'") from None
    writer: Any = None

    def log(step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        nonlocal writer
        if writer is None:  # created late, after the check that the folder belongs to this run
            writer = SummaryWriter(str(run / FOLDER_NAME), purge_step=step)
        for name, value in {"epoch": epoch, **metrics}.items():
            if math.isfinite(value):
                writer.add_scalar(name, value, step)
        writer.flush()

    return log
