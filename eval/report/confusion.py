"""Confusion between a user's objects, as a table and in a sentence."""

from eval.formats.scorecard import Confusion, Scorecard
from groundwork.pages.cells import percent, printable
from groundwork.pages.table import Column, Table
from groundwork.words import counted


def largest_confusion(scorecard: Scorecard, user: str) -> tuple[Confusion, int]:
    """The confusion of a user's set of objects with the most frames, and the number of the user's other sets."""
    own = [confusion for confusion in scorecard.confusion if confusion.user == user]
    return max(own, key=lambda confusion: sum(map(sum, confusion.frames))), len(own) - 1


def confusion_table(confusion: Confusion) -> Table:
    """One row per shown object, one column per predicted object."""
    rows = [
        (name, sum(row), *(count / sum(row) for count in row))
        for name, row in zip(confusion.objects, confusion.frames, strict=True)
        if sum(row)
    ]
    return Table(
        f"Predictions for user {confusion.user}'s objects, in % of the frames that show the row's object, over "
        f"{counted(confusion.tasks, 'task')}; framed and bold: right",
        ("Object shown", "Frames", *(Column(name, percent) for name in confusion.objects)),
        tuple(rows),
        shaded_from=2,
        confusion=True,
    )


def confusion_finding(confusion: Confusion) -> str:
    """The most frequent confusion, in words."""
    wrong = [
        (count / sum(row), shown, taken)
        for shown, row in zip(confusion.objects, confusion.frames, strict=True)
        for taken, count in zip(confusion.objects, row, strict=True)
        if count and taken != shown
    ]
    if not wrong:
        return "No object was mistaken for another."
    share, shown, taken = max(wrong, key=lambda entry: entry[0])
    pair = f"{printable(shown)}, mistaken for {printable(taken)}"
    return f"Most frequent confusion: {pair} in {percent(share)} % of its frames."
