"""The picture: frame accuracy per user, best first, as SVG; and the words that say what it shows."""

import io
import warnings

from eval.report.csvs import PER_USER_CSV
from eval.report.tables import percent, plain
from eval.scorecard import Scorecard, UserScore

PICTURE_NAME = "accuracy_per_user.svg"
LONGEST_NAME = 32  # characters of a user's name in the picture; the table has all of it

_BAR, _INK, _LINE = "#2f5d8a", "#1a1a1a", "#8a2f12"
_BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # so that the dashed line crosses no number
_STYLE = {"svg.hashsalt": "orbit", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 10}


def accuracy_picture(scorecard: Scorecard) -> bytes:
    """A bar a user, best first, a dashed line at the mean over users, as SVG; the same bytes for the same scorecard."""
    from matplotlib import style  # here, so that scoring does not wait for matplotlib
    from matplotlib.figure import Figure

    users = _best_first(scorecard)
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script the font lacks: the table has the name
        figure = Figure(figsize=(8, 1.2 + 0.32 * len(users)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(users))
        axes.barh(places, [100 * row.frame_accuracy for row in users], height=0.68, color=_BAR)
        for place, row in zip(places, users, strict=True):
            axes.text(
                100 * row.frame_accuracy + 1, place, percent(row.frame_accuracy), va="center", color=_INK, bbox=_BEHIND
            )
        mean = scorecard.overall.frame_accuracy.per_user.mean
        axes.axvline(100 * mean, color=_LINE, linestyle="--", linewidth=1.6, zorder=0)
        axes.set_title(f"Dashed line: mean over users, {percent(mean)} %", loc="left", color=_LINE, fontsize=10)
        # a name is no formula, whatever dollar signs it holds
        axes.set_yticks(places, [_shortened(plain(row.user)) for row in users], parse_math=False)
        axes.set_ylim(len(users) - 0.4, -0.6)
        axes.set_xlim(0, 108)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("Frame accuracy, % (higher is better)")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()


def picture_finding(scorecard: Scorecard) -> str:
    """What the picture shows, for someone who does not see it."""
    users = _best_first(scorecard)
    best, worst = users[0], users[-1]
    mean = percent(scorecard.overall.frame_accuracy.per_user.mean)
    if len(users) == 1:
        finding = f"the one user, {plain(best.user)}, has {percent(best.frame_accuracy)} %"
    else:
        finding = (
            f"from {percent(worst.frame_accuracy)} % (user {plain(worst.user)}) to {percent(best.frame_accuracy)} % "
            f"(user {plain(best.user)}), mean over {len(users)} users {mean} %"
        )
    return f"Bar chart of frame accuracy per user: {finding}. The numbers are in {PER_USER_CSV} and in the table below."


def _best_first(scorecard: Scorecard) -> list[UserScore]:
    return sorted(scorecard.per_user, key=lambda row: -row.frame_accuracy)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
