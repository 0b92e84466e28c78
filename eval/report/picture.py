"""The figure of frame accuracy per user, best first, as SVG, and its description in words."""

from eval.formats.scorecard import Scorecard, UserScore
from eval.report.csvs import PER_USER_CSV
from groundwork.pages.cells import percent, printable
from groundwork.pages.drawing import INK, LINE, add_title, drawing, shortened

PICTURE_NAME = "accuracy_per_user.svg"

_BAR = "#2f5d8a"
_NUMBERS = 115  # right end of the numbers: beyond 100, so that the line at the mean never crosses them


def accuracy_picture(scorecard: Scorecard) -> bytes:
    """One bar per user, best first, and a dashed line at the mean over users; deterministic bytes."""
    users = _best_first(scorecard)
    with drawing(height=1.2 + 0.32 * len(users)) as (axes, content):
        places = range(len(users))
        axes.barh(places, [100 * row.frame_accuracy for row in users], height=0.68, color=_BAR)
        for place, row in zip(places, users, strict=True):
            axes.text(_NUMBERS, place, percent(row.frame_accuracy), va="center", ha="right", color=INK)
        mean = scorecard.overall.frame_accuracy.per_user.mean
        axes.axvline(100 * mean, color=LINE, linestyle="--", linewidth=1.6, zorder=0)
        add_title(axes, f"Dashed line: mean over users, {percent(mean)} %", color=LINE)
        # dollar signs in a name must not start a formula
        axes.set_yticks(places, [shortened(printable(row.user)) for row in users], parse_math=False)
        axes.set_ylim(len(users) - 0.4, -0.6)
        axes.set_xlim(0, 116)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("Frame accuracy, % (higher is better)")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return content.getvalue()


def picture_finding(scorecard: Scorecard) -> str:
    """The content of the figure in words."""
    users = _best_first(scorecard)
    best, worst = users[0], users[-1]
    mean = percent(scorecard.overall.frame_accuracy.per_user.mean)
    if len(users) == 1:
        finding = f"the only user, {printable(best.user)}, has {percent(best.frame_accuracy)} %"
    else:
        finding = (
            f"from {percent(worst.frame_accuracy)} % (user {printable(worst.user)}) "
            f"to {percent(best.frame_accuracy)} % (user {printable(best.user)}), mean over {len(users)} users {mean} %"
        )
    return f"Bar chart of frame accuracy per user: {finding}. The numbers are in {PER_USER_CSV} and in the table below."


def _best_first(scorecard: Scorecard) -> list[UserScore]:
    return sorted(scorecard.per_user, key=lambda row: -row.frame_accuracy)
