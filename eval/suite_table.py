"""A table of many data sets: each set's accuracy, and means over the sets in each part and group of a benchmark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from eval.formats.scorecard import Scorecard
from groundwork.files import csv_text
from groundwork.pages.blocks import Paragraph, Section
from groundwork.pages.cells import fraction_cell, grouped, percent
from groundwork.pages.markdown import markdown_page
from groundwork.pages.page import html_page
from groundwork.pages.printing import text_table, wrapped_text
from groundwork.pages.table import Column, Columns, Table
from groundwork.words import counted, listed

READING = (
    "The interval of a set is 1.96 std / sqrt(n) over its tasks, or over its query images if there is one task; it "
    "applies to other tasks of this set. The interval of a mean applies to the same sets with other tasks, not to "
    "other sets. A mean is over the sets that were evaluated."
)
COLUMNS = ("set", "part", "group", "n", "unit", "accuracy", "half_width", "chance")


@dataclass(frozen=True)
class SetResult:
    """One set. accuracy, half_width, chance: fractions, None if the set was not evaluated; n counts `unit`s."""

    name: str
    part: str
    group: str
    n: int = 0
    unit: str = ""
    accuracy: float | None = None
    half_width: float | None = None
    chance: float | None = None

    @classmethod
    def of(cls, name: str, part: str, group: str, card: Scorecard) -> "SetResult":
        """Make a result from a set's scorecard: over its tasks, or over the query images of a single task."""
        summary = card.overall.frame_accuracy
        found = summary.headline if card.counts.tasks > 1 else summary.per_video
        unit = "tasks" if card.counts.tasks > 1 else "images"
        width = found.protocol_interval.half_width if found.n > 1 else None
        return cls(name, part, group, found.n, unit, found.mean, width, card.overall.chance)


@dataclass(frozen=True)
class MeanResult:
    """The mean over the evaluated sets of a part or group: `n` of `sets`."""

    name: str
    part: str
    group: str
    n: int
    sets: int
    accuracy: float | None
    half_width: float | None


def means(results: Sequence[SetResult]) -> tuple[MeanResult, ...]:
    """The mean of each part, and of each group of a part that has several."""
    found = []
    for part in dict.fromkeys(result.part for result in results):
        own = [result for result in results if result.part == part]
        found.append(_mean(f"mean of {part}", part, "", own))
        groups = list(dict.fromkeys(result.group for result in own))
        for group in groups if len(groups) > 1 else ():
            of_group = [result for result in own if result.group == group]
            found.append(_mean(f"mean of {part}, {group}", part, group, of_group))
    return tuple(found)


def suite_text(title: str, results: Sequence[SetResult], *, width: int | None = None) -> str:
    """As plain text that ends with a newline, wrapped to `width` characters if given."""
    notes = (wrapped_text(note, width) for note in _notes(results))
    return "\n\n".join([title, *notes, text_table(_table(title, results), width=width)]) + "\n"


def suite_markdown(title: str, results: Sequence[SetResult]) -> str:
    """As a Markdown page."""
    return markdown_page(title, _sections(title, results))


def suite_html(title: str, results: Sequence[SetResult]) -> str:
    """As one accessible HTML page without scripts or network access."""
    return html_page(title, _sections(title, results))


def suite_csv(results: Sequence[SetResult]) -> str:
    """The same rows as CSV, with accuracies as fractions; the unit of a mean is sets."""
    rows = [
        (
            one.name,
            one.part,
            one.group,
            one.n,
            one.unit,
            *map(fraction_cell, (one.accuracy, one.half_width, one.chance)),
        )
        for one in results
    ]
    rows += [
        (one.name, one.part, one.group, one.n, "sets", *map(fraction_cell, (one.accuracy, one.half_width, None)))
        for one in means(results)
    ]
    return csv_text(COLUMNS, rows)


def _mean(name: str, part: str, group: str, results: Sequence[SetResult]) -> MeanResult:
    there = [(one.accuracy, one.half_width) for one in results if one.accuracy is not None]
    if not there:
        return MeanResult(name, part, group, 0, len(results), None, None)
    accuracy = fsum(value for value, _ in there) / len(there)
    widths = [width for _, width in there if width is not None]
    # the sets' errors are independent, so the variance of their mean is the sum of the variances / n^2
    width = sqrt(fsum(one * one for one in widths)) / len(there) if len(widths) == len(there) else None
    return MeanResult(name, part, group, len(there), len(results), accuracy, width)


def _sections(title: str, results: Sequence[SetResult]) -> list[Section]:
    notes = (Paragraph(note) for note in _notes(results))
    return [Section("sets", "Sets", (*notes, _table(title, results)))]


def _notes(results: Sequence[SetResult]) -> Iterator[str]:
    yield READING
    if missing := [one.name for one in results if one.accuracy is None]:
        yield f"Not evaluated: {counted(len(missing), 'set')} of {len(results)}: {listed(missing, most=len(missing))}."


def _table(title: str, results: Sequence[SetResult]) -> Table:
    rows: list[tuple[object, ...]] = [
        (
            *(one.name, one.part, one.group or None),
            f"{grouped(one.n)} {one.unit}" if one.accuracy is not None else "not evaluated",
            *(one.accuracy, one.half_width, one.chance),
        )
        for one in results
    ]
    rows += [
        (one.name, one.part, one.group or None, f"{one.n} of {one.sets} sets", one.accuracy, one.half_width, None)
        for one in means(results)
    ]
    shares = ("Accuracy, %", "95 % interval, ±", "Guessing, %")
    columns: Columns = ("Set", "Part", "Group", "n", *(Column(heading, shown=_percent) for heading in shares))
    return Table(f"{title}: accuracy on each set, and means over sets", columns, tuple(rows))


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else percent(fraction)
