"""The results of the study of meta-gradients: as CSV, as a table for docs/gradient-learners.md, and as a figure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.bias import Error
from groundwork.files import csv_text
from groundwork.pages.drawing import figure_as_svg
from groundwork.pages.printing import markdown_table
from groundwork.pages.table import Column, Columns, Table

TITLES = {
    "maml": "MAML, second order",
    "anil_implicit": "Implicit: the head solved",
    "imaml": "Implicit: the network solved (iMAML)",
}
BIAS, RMSE = ("s", "#b04a00"), ("o", "#00589b")  # marker and color
LEAST = 1e-4  # smaller values are drawn at the figure's edge


@dataclass(frozen=True)
class Row:
    """One estimate of one learner's gradient, computed `draws` times, or once if it is not random."""

    learner: str
    estimate: str
    draws: int
    error: Error

    @property
    def bias(self) -> float:
        """The root of the estimated square, 0 if that is negative."""
        return max(self.error.bias_squared, 0.0) ** 0.5


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row, with six significant digits."""
    flat = [{"learner": r.learner, "estimate": r.estimate, "draws": r.draws, **asdict(r.error)} for r in rows]
    lines = [[f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in flat]
    return csv_text(list(flat[0]), lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """One row per estimate, with a standard error if it is random."""
    lines: list[tuple[object, ...]] = []
    for row in rows:
        error = row.error
        squared = f"{error.bias_squared:.2g}"
        if row.draws > 1:
            squared = (
                f"{round(error.bias_squared, 3) + 0.0:.3f} ± {error.bias_squared_standard_error:.3f}"  # never -0.000
            )
        cosine = "" if error.cosine is None else f"{error.cosine:.4f}" if row.draws == 1 else f"{error.cosine:.2f}"
        lines.append(
            (TITLES[row.learner], row.estimate, row.draws, _short(row.bias), squared, _short(error.rmse), cosine)
        )
    right = [Column(name, side="right") for name in ("draws", "bias", "bias² ± standard error", "RMSE", "cosine")]
    columns: Columns = ("gradient of", "estimate", *right)
    caption = "Errors of the estimates, relative to the norm of the true gradient"
    return markdown_table(Table(caption, columns, tuple(lines))) + "\n"


def as_svg(rows: Sequence[Row]) -> bytes:
    """One panel per learner, one line per estimate: RMSE of one draw, and bias (for `lite`, its upper bound)."""
    learners = [name for name in TITLES if any(row.learner == name for row in rows)]
    sizes = [sum(row.learner == name for row in rows) for name in learners]
    with figure_as_svg(width=8, height=1.2 + 0.28 * sum(sizes) + 0.5 * len(sizes), font_size=9) as (figure, content):
        grid = figure.subplots(len(learners), 1, sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
        for axes, name in zip(grid, learners, strict=True):
            of = [row for row in rows if row.learner == name]
            places = range(len(of))
            biases = [row.error.bias_at_most if row.draws > 1 else row.bias for row in of]
            for values, (marker, color), label in (
                ([row.error.rmse for row in of], RMSE, "RMSE of one draw"),
                (biases, BIAS, "bias (of lite: at most)"),
            ):
                shown = [max(value, LEAST) for value in values]
                fill = "white" if label.startswith("bias") else color
                axes.plot(shown, places, marker, color=color, markerfacecolor=fill, markersize=7, label=label)
            axes.set(title=TITLES[name], xscale="log", xlim=(LEAST / 1.5, None))
            axes.set_yticks(places, [row.estimate for row in of])
            axes.invert_yaxis()
            axes.xaxis.set_major_formatter("{x:g}")
            axes.grid(alpha=0.3)
        grid[-1].set_xlabel("relative to the norm of the true gradient")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return content.getvalue()


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
