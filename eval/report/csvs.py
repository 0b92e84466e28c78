"""The scorecard's rows as CSV files: fractions, not percent, names as they are."""

from collections.abc import Sequence

import pandas as pd

from eval.metrics import METRICS
from eval.report.tables import summary_of
from eval.scorecard import Scorecard, Strict

PER_USER_CSV = "per_user.csv"


def csv_files(scorecard: Scorecard) -> dict[str, bytes]:
    """File name to content, UTF-8."""
    files = {
        "per_task.csv": scorecard.per_task,
        "per_object.csv": scorecard.per_object,
        "per_video.csv": scorecard.per_video,
        PER_USER_CSV: scorecard.per_user,
    }
    return {"overall.csv": _csv(_overall(scorecard))} | {name: _csv(_table(rows)) for name, rows in files.items()}


def _table(rows: Sequence[Strict]) -> pd.DataFrame:
    return pd.DataFrame([row.model_dump() for row in rows])


def _overall(scorecard: Scorecard) -> pd.DataFrame:
    rows = []
    for name in METRICS:
        summary = summary_of(scorecard, name)
        for how, part in (("per_video", summary.per_video), ("per_user", summary.per_user)):
            bootstrap = part.bootstrap_over_users
            rows.append(
                {
                    "metric": name,
                    "mean_over": how,
                    "mean": part.mean,
                    "n": part.n,
                    "unit": part.unit,
                    "protocol_half_width": part.protocol_interval.half_width,
                    "bootstrap_low": bootstrap.low,
                    "bootstrap_high": bootstrap.high,
                    "bootstrap_users": bootstrap.n,
                }
            )
    return pd.DataFrame(rows)


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
