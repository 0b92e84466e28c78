"""Exports all records of eval's files: tasks.jsonl, predictions.parquet, scorecard.json.

Each file contains its kind and a schema number; readers refuse unknown ones. The records, readers and writers are in
eval/formats/tasks.py, eval/formats/predictions.py and eval/formats/scorecard.py.
"""

from eval.formats.predictions import (
    ANSWERED_COLUMNS,
    PREDICTION_COLUMNS,
    PREDICTIONS_SCHEMA,
    read_answers_curve,
    read_predictions,
    read_predictions_metadata,
    write_predictions,
)
from eval.formats.scorecard import SCORECARD_SCHEMA, Scorecard, read_scorecard, write_scorecard
from eval.formats.tasks import (
    TASKS_SCHEMA,
    LeftOut,
    Task,
    TaskSet,
    VideoPlan,
    read_tasks,
    tasks_fingerprint,
    write_tasks,
)

__all__ = [
    "ANSWERED_COLUMNS",
    "PREDICTIONS_SCHEMA",
    "PREDICTION_COLUMNS",
    "SCORECARD_SCHEMA",
    "TASKS_SCHEMA",
    "LeftOut",
    "Scorecard",
    "Task",
    "TaskSet",
    "VideoPlan",
    "read_answers_curve",
    "read_predictions",
    "read_predictions_metadata",
    "read_scorecard",
    "read_tasks",
    "tasks_fingerprint",
    "write_predictions",
    "write_scorecard",
    "write_tasks",
]
