"""The results of the study of gradients: as CSV, as a table for docs/lite.md, and as a figure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from groundwork.files import csv_text
from groundwork.pages.drawing import figure_as_svg
from groundwork.pages.printing import markdown_table
from groundwork.pages.table import Column, Columns, Table

STEP = 16  # tasks per step, as in the 2023 leaderboard rows
SHOWN = {  # the parts in table and figure; Versa, whose gradient is not random, is only in the CSV
    ("protonets", "extractor"): "ProtoNets, extractor",
    ("cnaps", "set encoder"): "CNAPs, set encoder",
    ("cnaps", "FiLM generator"): "CNAPs, FiLM generator",
}
LOOKS = {"lite": ("o", "#00589b"), "small task": ("s", "#b04a00"), "published": ("^", "#555555")}


@dataclass(frozen=True)
class Row:
    """One estimator of one part's gradient. All numbers are relative to the norm of the full gradient.

    `bias_squared` is corrected for chance and can be negative; `bias_at_most` is the root of the upper end of its 95 %
    interval. `cosine` is of the angle between the estimator's mean and the full gradient; it is also corrected and can
    exceed 1, and is None if the mean is 0.
    """

    learner: str
    part: str
    estimator: str
    h: int
    draws: int
    bias_squared: float
    bias_squared_standard_error: float
    bias_at_most: float
    rmse: float
    cosine: float | None

    @property
    def bias(self) -> float:
        """The root of the estimated square, 0 if that is negative."""
        return max(self.bias_squared, 0.0) ** 0.5

    @property
    def step_error(self) -> float:
        """RMSE of the mean of STEP draws: noise decreases with the root of the number of draws, bias does not."""
        return (self.bias**2 + (self.rmse**2 - self.bias**2) / STEP) ** 0.5


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row, with six significant digits."""
    lines = [[_rounded(v) if isinstance(v, float) else v for v in asdict(row).values()] for row in rows]
    return csv_text([field.name for field in fields(Row)], lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """The parts in SHOWN, one row per part and H."""
    found = {(row.learner, row.part, row.estimator, row.h): row for row in rows}
    lines: list[tuple[object, ...]] = []
    for (learner, part), title in SHOWN.items():
        for h in dict.fromkeys(row.h for row in rows if (row.learner, row.part) == (learner, part)):
            lite, small, published = (found[learner, part, estimator, h] for estimator in LOOKS)
            of_lite = (f"{lite.bias:.2f}, at most {lite.bias_at_most:.2f}", lite.rmse, lite.step_error)
            of_small = (small.bias, small.rmse, small.step_error)
            lines.append((title, h, *of_lite, *of_small, published.bias, published.rmse))
    columns: Columns = (
        "gradient of",
        "H",
        Column("lite: bias", side="right"),
        *map(_error, ("RMSE", f"{STEP} tasks", "small task: bias", "RMSE", f"{STEP} tasks", "published: bias", "RMSE")),
    )
    caption = "Errors of the estimators, relative to the norm of the full gradient"
    return markdown_table(Table(caption, columns, tuple(lines))) + "\n"


def _error(heading: str) -> Column:
    return Column(heading, "{:.2f}".format)


def as_svg(rows: Sequence[Row]) -> bytes:
    """One panel per part with log axes: RMSE over H as solid lines, bias dashed (for `lite`, its upper bound)."""
    from matplotlib.ticker import NullFormatter, NullLocator

    panels = [key for key in SHOWN if any((row.learner, row.part) == key for row in rows)]
    with figure_as_svg(width=10, height=4, font_size=9) as (figure, content):
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, key in zip(grid, panels, strict=True):
            for estimator, (marker, color) in LOOKS.items():
                of = [row for row in rows if (row.learner, row.part, row.estimator) == (*key, estimator)]
                h = [row.h for row in of]
                bias = [row.bias_at_most if estimator == "lite" else row.bias for row in of]
                axes.plot(h, [row.rmse for row in of], marker=marker, color=color, label=f"{estimator}, RMSE")
                words = "bias is at most" if estimator == "lite" else "bias"
                axes.plot(h, bias, marker=marker, color=color, ls="--", mfc="white", label=f"{estimator}, {words}")
            axes.set(title=SHOWN[key], xlabel="H", xscale="log", yscale="log")
            axes.set_xticks(h, [str(value) for value in h])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
        grid[0].set_ylabel("relative to the norm of the full gradient")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return content.getvalue()


def _rounded(value: float) -> str:
    # smaller values are rounding errors, which differ between machines
    return f"{value:.6g}" if abs(value) > 1e-9 else "0"
