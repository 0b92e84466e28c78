"""What the study of meta-training on episodes found: one table, and a CSV with a row for each run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from groundwork.files import csv_text, write_text
from groundwork.pages.table import Column, Table

Z = 1.96  # of a 95 % interval, as few-shot papers print it
NAME = "episodes-study"


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    frame_size_px, support: of a training task's images; with_gradient: support images that get one. peak_mb: what the
    gradient of one such task adds to a process that holds weights and images. train_s, train_cpu_s: by the clock, and
    of the process, validation included; None for a run that was cut off and resumed. best_step, validation: of the best
    weights. task_accuracies: of the held-out tasks, in [0, 1], the same tasks for every run.
    """

    arm: str
    seed: int
    frame_size_px: int
    support: int
    with_gradient: int
    peak_mb: float | None
    steps: int
    train_s: float | None
    train_cpu_s: float | None
    threads: int
    best_step: int
    validation: float
    task_accuracies: list[float]

    @property
    def accuracy(self) -> float:
        """Mean over the held-out tasks."""
        return statistics.fmean(self.task_accuracies)


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean over tasks, 1.96 std / sqrt(n); n >= 2."""
    return Z * statistics.stdev(values) / sqrt(len(values))


def mean_by_task(runs: Sequence[Run]) -> list[float]:
    """Accuracy of each held-out task, the mean over runs."""
    return [statistics.fmean(task) for task in zip(*(run.task_accuracies for run in runs), strict=True)]


def arms_table(runs: Sequence[Run]) -> Table:
    """A row for each arm, means over its seeds; the first arm is what the others are compared with."""
    arms = {run.arm: [other for other in runs if other.arm == run.arm] for run in runs}
    tasks = {arm: mean_by_task(own) for arm, own in arms.items()}
    first = next(iter(tasks.values()))
    rows = []
    for arm, own in arms.items():
        differences = _differences(tasks[arm], first)
        rows.append(
            (
                arm,
                own[0].frame_size_px,
                own[0].support,
                own[0].with_gradient,
                _range([run.peak_mb for run in own], "{:.0f}"),
                _range([run.train_s for run in own], "{:.0f}"),
                _range([run.train_cpu_s for run in own], "{:.0f}"),
                _percent(statistics.fmean(run.validation for run in own)),
                f"{_percent(statistics.fmean(tasks[arm]))} ± {_percent(half_width(tasks[arm]))}",
                ", ".join(_percent(run.accuracy) for run in own),
                ""
                if tasks[arm] is first
                else f"{100 * statistics.fmean(differences):+.1f} ± {_percent(half_width(differences))}",
            )
        )
    seeds, count, steps = (len(next(iter(arms.values()))), len(first), runs[0].steps)
    caption = (
        f"ProtoNets on tiny, {steps} steps, {seeds} seeds; accuracy in % on {count} tasks of held-out classes, mean "
        f"± 1.96 std / sqrt(n) over tasks"
    )
    columns = ("Arm", "px", "Support", "With gradient", "Memory, MB", "Training, s", "Processor, s")
    more = ("Validation", "Held out", "Each seed", f"Minus {next(iter(arms))}")
    return Table(caption, (*columns, *(Column(name, side="right") for name in more)), tuple(rows))


def write_runs(out: Path, runs: Sequence[Run], *, hardware: str) -> Path:
    """Write `OUT/episodes-study-HARDWARE.csv`, a row for each run. `difference`: from the first arm with the
    same seed, task by task."""
    names = [name for name in Run.__dataclass_fields__ if name != "task_accuracies"]
    rows = []
    for run in runs:
        first = next(other for other in runs if other.seed == run.seed)
        own, differences = run.task_accuracies, _differences(run.task_accuracies, first.task_accuracies)
        means = (run.accuracy, half_width(own), statistics.fmean(differences), half_width(differences))
        rows.append([_cell(value) for value in (*(getattr(run, name) for name in names), len(own), *means)])
    path = out / f"{NAME}-{hardware}.csv"
    write_text(path, csv_text([*names, "tasks", "accuracy", "half_width", "difference", "difference_half_width"], rows))
    return path


def _differences(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def _cell(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _range(values: Sequence[float | None], form: str) -> str:
    """From the least to the most that is known."""
    known = sorted(value for value in values if value is not None)
    return " to ".join(dict.fromkeys(form.format(value) for value in (known[0], known[-1]))) if known else "-"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
