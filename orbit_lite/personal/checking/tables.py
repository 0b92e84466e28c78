"""The check's numbers as tables for pages, in percent, and as CSV files, as fractions."""

from eval.intervals import wilson_interval
from groundwork.files import csv_text
from groundwork.pages.cells import MISSING, fraction_cell, percent, printable, whole_percent
from groundwork.pages.table import Table
from orbit_lite.personal.checking.check import UserCheck
from orbit_lite.personal.checking.learning_curve import LearningCurve
from orbit_lite.personal.checking.words import interval
from orbit_lite.personal.decision.rejection import STRICTNESS

OBJECTS_CSV = "check_objects.csv"
VIDEOS_CSV = "check_videos.csv"
CONFUSION_CSV = "check_confusion.csv"
CURVE_CSV = "check_learning_curve.csv"

_OBJECT_COLUMNS = (
    *("object", "videos", "frames", "held_out_videos", "held_out_frames", "frame_accuracy"),
    *("video_accuracy", "video_accuracy_low", "video_accuracy_high", "taken_for", "taken_for_share"),
    *("none_of_these", "chance", "advice_kind", "advice"),
)


def objects_table(check: UserCheck) -> Table:
    """One row per object, worst first."""
    rows = []
    for thing in check.worst_first:
        cells = [printable(thing.object), str(thing.videos), str(thing.frames)]
        if thing.accuracy is None:
            rows.append((*cells, *[MISSING] * 7))
            continue
        of_video = [video.right / video.frames for video in thing.held_out]
        taken = (printable(thing.taken_for), percent(thing.share, 0)) if thing.taken_for else (MISSING, MISSING)
        rows.append(
            (
                *cells,
                percent(thing.accuracy, 0),
                f"{percent(min(of_video), 0)} to {percent(max(of_video), 0)}",
                f"{thing.recognized} of {len(thing.held_out)}",
                interval(thing.recognized, len(thing.held_out)),
                *taken,
                whole_percent(thing.none),
            )
        )
    columns = (
        *("Object", "Videos", "Frames", "Frames recognized, %", "Worst to best video, %"),
        *("Videos recognized", "95 % interval, %", "Most often mistaken for", "In % of frames", "None of these, %"),
    )
    caption = f"Each object's held-out videos, worst first; guessing would get {percent(check.estimate.chance, 0)} %"
    return Table(caption, columns, tuple(rows))


def videos_table(check: UserCheck) -> Table:
    """One row per video, worst first."""
    ranked = sorted(check.held_out, key=lambda video: (video.right / video.frames, video.video))
    rows = tuple(
        (
            printable(video.video),
            printable(video.object),
            str(video.frames),
            percent(video.right / video.frames, 0),
            printable(video.answer),
        )
        for video in ranked
    )
    columns = ("Video", "Object", "Frames", "Frames recognized, %", "Video recognized as")
    return Table("Each held-out video, worst first", columns, rows)


def confusion_table(check: UserCheck) -> Table:
    """One row per held-out object, and one column per object that its frames were recognized as."""
    names = [printable(thing.object) for thing in check.objects]
    rows = tuple(
        (name, str(sum(row)), *(percent(count / sum(row), 0) for count in row))
        for name, row in zip(names, check.confusion, strict=True)
        if sum(row)
    )
    caption = "What each object's held-out frames were recognized as, in %; framed and bold: recognized correctly"
    return Table(caption, ("Object shown", "Frames", *names), rows, shaded_from=2, confusion=True)


def curve_table(curve: LearningCurve) -> Table:
    """One row per object, and a last row for all: the mean over the draws, with the lowest and the highest."""
    rows = []
    for name in sorted(set(curve.objects)):
        cells = _curve_cells(curve, name)
        rows.append((printable(name), *cells, *[MISSING] * (len(curve.videos_taught) - len(cells))))
    rows.append(("All objects", *_curve_cells(curve, "")))
    taught = ("1 video, %", *(f"{count} videos, %" for count in curve.videos_taught[1:]))
    caption = (
        "Share of held-out frames recognized, by the number of videos that taught each object: mean of "
        f"{curve.draws} draws (lowest to highest)"
    )
    return Table(caption, ("Object", *taught), tuple(rows), ends_in_total=True)


def _curve_cells(curve: LearningCurve, name: str) -> list[str]:
    return [
        f"{percent(draws.mean(), 0)} ({percent(draws.min(), 0)} to {percent(draws.max(), 0)})"
        for draws in curve.accuracy(name)
    ]


def rejection_table(check: UserCheck) -> Table:
    """One row per strictness: what its threshold should do, and what it did on held-out videos."""
    rows = []
    for name in STRICTNESS:
        rejection = check.rejection.at(name)
        point = rejection.point
        kept = (
            whole_percent(rejection.promised_misses),
            whole_percent(point.misses),
            whole_percent(point.false_alarms),
        )
        rows.append((f"{name} (in use)" if name == check.rejection.strictness else name, *kept))
    columns = (
        "Strictness",
        "None of these at most, %",
        "None of these on held-out frames, %",
        "Similar things named, %",
    )
    return Table("Effect of each strictness, in % of frames", columns, tuple(rows))


def facts_table(check: UserCheck) -> Table:
    """What was checked, and with what."""
    rows = tuple((printable(name), printable(value)) for name, value in (("user", check.user), *check.facts))
    return Table("Data, model and versions", ("Fact", "Value"), rows)


def check_csvs(check: UserCheck) -> dict[str, str]:
    """The content of each CSV file, by file name; names are written unchanged, and unknown values as empty cells."""
    files = {OBJECTS_CSV: _objects_csv(check), VIDEOS_CSV: _videos_csv(check), CONFUSION_CSV: _confusion_csv(check)}
    return files | ({CURVE_CSV: _curve_csv(check.curve)} if check.curve else {})


def _objects_csv(check: UserCheck) -> str:
    rows = []
    for thing in check.objects:
        count, frames = len(thing.held_out), sum(video.frames for video in thing.held_out)
        low, high = wilson_interval(thing.recognized, count) if count else (None, None)
        accuracies = (thing.accuracy, thing.recognized / count if count else None, low, high)
        rows.append(
            (
                *(thing.object, thing.videos, thing.frames, count, frames),
                *map(fraction_cell, accuracies),
                *(thing.taken_for, fraction_cell(thing.share if count else None)),
                *map(fraction_cell, (thing.none, check.estimate.chance)),
                *(thing.advice.kind, thing.advice.text),
            )
        )
    return csv_text(_OBJECT_COLUMNS, rows)


def _videos_csv(check: UserCheck) -> str:
    rows = [
        (
            *(video.object, video.video, video.frames, video.right, fraction_cell(video.right / video.frames)),
            *(str(video.recognized).lower(), video.answer),
        )
        for video in check.held_out
    ]
    return csv_text(("object", "video", "frames", "right", "frame_accuracy", "recognized", "taken_for"), rows)


def _confusion_csv(check: UserCheck) -> str:
    names = [thing.object for thing in check.objects]
    rows = [
        (shown, taken, count)
        for shown, counts in zip(names, check.confusion, strict=True)
        for taken, count in zip(names, counts, strict=True)
    ]
    return csv_text(("object", "taken_for", "frames"), rows)


def _curve_csv(curve: LearningCurve) -> str:
    """Rows with an empty object are for all objects."""
    rows = [
        (name, count, curve.draws, *map(fraction_cell, (draws.mean(), draws.min(), draws.max())))
        for name in ("", *sorted(set(curve.objects)))
        for count, draws in zip(curve.videos_taught, curve.accuracy(name), strict=False)
    ]
    return csv_text(("object", "videos_taught", "draws", "mean", "lowest", "highest"), rows)
