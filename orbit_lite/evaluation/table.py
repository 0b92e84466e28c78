"""The predictions for one user's tasks, as the table that is stored."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from eval.formats.records import PREDICTION_COLUMNS, Task
from groundwork.errors import DataError


def predictions_table(user: str, tasks: Sequence[Task], confidence: Tensor, prediction: Tensor) -> pd.DataFrame:
    """One row per query frame of one user's tasks, in order.

    Args:
        user: the user's name.
        tasks: this user's tasks.
        confidence: the confidence of each frame's prediction, (frames,).
        prediction: the predicted class of each frame, (frames,).

    Raises:
        DataError: if a confidence is NaN.
    """
    plans = [(task.task, plan) for task in tasks for plan in task.query]
    counts = [len(plan.frames) for _, plan in plans]
    columns = {
        "user": user,
        "task": np.repeat(np.array([task for task, _ in plans], np.int32), counts),
        "video": np.repeat(np.array([plan.video for _, plan in plans], dtype=object), counts),
        "frame": np.fromiter((frame for _, plan in plans for frame in plan.frames), np.int32, sum(counts)),
        "prediction": prediction.cpu().numpy().astype(np.int32),
        "confidence": confidence.cpu().float().numpy(),
    }
    table = pd.DataFrame(columns)[PREDICTION_COLUMNS.names]
    if table.confidence.isna().any():
        first = table[table.confidence.isna()].iloc[0]
        raise DataError(
            f"user {first.user}, task {first.task}, video {first.video}, frame {first.frame}: the recognizer's "
            "confidence is NaN; its weights have diverged, or belong to another backbone"
        )
    return table
