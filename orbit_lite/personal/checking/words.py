"""What the check of a user's videos says, in sentences: the same in the terminal and on the page."""

from eval.intervals import wilson_interval
from groundwork.pages.cells import percent, printable
from groundwork.words import counted
from orbit_lite.personal.checking.check import ObjectCheck, UserCheck
from orbit_lite.personal.checking.filming_advice import RISES, rises
from orbit_lite.personal.checking.learning_curve import LearningCurve
from orbit_lite.personal.promises import estimate_lines, rejection_lines

HOW = (
    "Each object's videos were cut into the two groups that look most unlike each other. Each group was held out in "
    "turn, and shown to a recognizer that the others had taught."
)
FEW_NOTE = (
    "So few videos say little of a single object: the worst may be better than they look here, and the best worse."
)


def check_text(check: UserCheck) -> str:
    """The check for a terminal or a screen reader: headline, an object a line, worst first; ends with a newline."""
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
    """`83 %`, and of what."""
    found = check.estimate
    return (
        f"{percent(found.accuracy, 0)} %",
        f"of the frames of {counted(found.videos, 'held-out video')} were recognized; guessing would get "
        f"{percent(found.chance, 0)} %. In a new place {percent(found.low, 0)} to {percent(found.high, 0)} % are to be "
        "expected (95 % interval).",
    )


def interval(recognized: int, videos: int) -> str:
    """`23 to 88`, in percent: see wilson_interval."""
    low, high = wilson_interval(recognized, videos)
    return f"{percent(low, 0)} to {percent(high, 0)}"


def object_result(thing: ObjectCheck) -> str:
    """`62 % of frames and 3 of 5 videos recognized; taken for bowl in 25 % of frames.`"""
    if thing.accuracy is None:
        return "not checked."
    videos = f"{thing.recognized} of {len(thing.held_out)} videos"
    mistaken = f"; taken for {printable(thing.taken_for)} in {percent(thing.share, 0)} %" if thing.taken_for else ""
    return f"{percent(thing.accuracy, 0)} % of frames and {videos} recognized{mistaken}."


def curve_finding(curve: LearningCurve) -> str:
    """What the learning curve shows, in numbers and in words."""
    means = curve.accuracy().mean(axis=1)
    points = [f"{percent(mean, 0)} % with {count}" for count, mean in zip(curve.videos_taught, means, strict=True)]
    shown = (
        f"Held out one at a time, taught with 1 video of each object {percent(means[0], 0)} % of frames were "
        f"recognized, {', '.join(points[1:])}."
    )
    rise = curve.rise()
    if rise is None or rise.gain < RISES:
        return f"{shown} It rises little at its end: more videos of the same kind are unlikely to help much."
    by = f"with {rise.many} in place of {rise.few}, {rise.better} of the videos did better and {rise.worse} worse"
    if rises(rise):
        return f"{shown} It is still rising ({by}): more videos are likely to help."
    return f"{shown} It rises, but not clearly ({by}): more videos may help."
