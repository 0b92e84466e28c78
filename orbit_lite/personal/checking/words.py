"""The check's results in sentences, the same in the terminal and on the page."""

from eval.intervals import wilson_interval
from groundwork.pages.cells import percent, printable
from groundwork.words import counted
from orbit_lite.personal.checking.check import ObjectCheck, UserCheck
from orbit_lite.personal.checking.filming_advice import LEAST_RISE, is_rising
from orbit_lite.personal.checking.learning_curve import LearningCurve
from orbit_lite.personal.promises import estimate_lines, rejection_lines

HOW = (
    "Each object's videos were split into the two groups that look least alike. Each group in turn was held out and "
    "shown to a recognizer taught with the other videos."
)
FEW_NOTE = (
    "So few videos say little about a single object: the worst objects may be better than they look here, and the best "
    "ones worse."
)


def check_text(check: UserCheck) -> str:
    """The check for a terminal or a screen reader: a headline, then one line per object, worst first; ends with a
    newline."""
    first, *rest = estimate_lines(check.estimate, check.origin)
    parts = [
        f"{printable(check.user)}: {first}",
        *rest,
        f"{HOW} {FEW_NOTE}",
        "",
        *(
            f"{printable(thing.object)}: {object_result(thing)} {printable(thing.advice.text)}"
            for thing in check.worst_first
        ),
        "",
        curve_finding(check.curve) if check.curve else check.no_curve,
        *rejection_lines(check.rejection, check.origin),
        *(["", *map(printable, check.notes)] if check.notes else []),
    ]
    return "\n".join(parts) + "\n"


def headline(check: UserCheck) -> tuple[str, str]:
    """`83 %`, and the rest of the sentence."""
    found = check.estimate
    return (
        f"{percent(found.accuracy, 0)} %",
        f"of the frames of {counted(found.videos, 'held-out video')} were recognized; guessing would get "
        f"{percent(found.chance, 0)} %. In a new place, expect {percent(found.low, 0)} to {percent(found.high, 0)} % "
        "(95 % interval).",
    )


def interval(recognized: int, videos: int) -> str:
    """`23 to 88`, in percent: see wilson_interval."""
    low, high = wilson_interval(recognized, videos)
    return f"{percent(low, 0)} to {percent(high, 0)}"


def object_result(thing: ObjectCheck) -> str:
    """`62 % of frames and 3 of 5 videos recognized; mistaken for bowl in 25 % of frames.`"""
    if thing.accuracy is None:
        return "not checked."
    videos = f"{thing.recognized} of {len(thing.held_out)} videos"
    mistaken = (
        f"; mistaken for {printable(thing.taken_for)} in {percent(thing.share, 0)} % of frames"
        if thing.taken_for
        else ""
    )
    return f"{percent(thing.accuracy, 0)} % of frames and {videos} recognized{mistaken}."


def curve_finding(curve: LearningCurve) -> str:
    """What the learning curve shows, in numbers and in words."""
    means = curve.accuracy().mean(axis=1)
    points = [f"{percent(mean, 0)} % with {count}" for count, mean in zip(curve.videos_taught, means, strict=True)]
    shown = (
        f"With videos held out one at a time, {percent(means[0], 0)} % of frames were recognized with 1 teaching video "
        f"of each object, {', '.join(points[1:])}."
    )
    rise = curve.rise()
    if rise is None or rise.gain < LEAST_RISE:
        return f"{shown} The curve rises little at its end: more videos of the same kind are unlikely to help much."
    by = f"with {rise.many} instead of {rise.few}, {rise.better} held-out videos did better and {rise.worse} worse"
    if is_rising(rise):
        return f"{shown} The curve is still rising ({by}): more videos are likely to help."
    return f"{shown} The curve rises, but not clearly ({by}): more videos may help."
