"""What the check of a user's videos says, in sentences: the same in the terminal and on the page."""

from eval.intervals import wilson_interval
from groundwork.pages.cells import percent, plain
from orbit_lite.personal.checking.check import ObjectCheck, UserCheck
from orbit_lite.personal.checking.filming_advice import RISES, rises
from orbit_lite.personal.checking.learning_curve import LearningCurve

HOW = "Each video was held out in turn, and shown to a recogniser that the other videos had taught."
CLUTTER_NOTE = (
    "The videos held out were filmed like those that teach. In clutter, in other light or on another day expect less: "
    "only test videos can tell how much."
)
STRANGE_NOTE = (
    "Estimated on these objects alone: each in turn was taken for a thing that was never taught, and the others "
    "set the threshold. Things that look less like these objects will pass less often."
)


def check_text(check: UserCheck) -> str:
    """The check for a terminal or a screen reader: headline, an object a line, worst first; ends with a newline."""
    parts = [
        f"{plain(check.user)}: {headline(check)[0]} {headline(check)[1]}",
        f"{rough_note(check)} {CLUTTER_NOTE}",
        "",
        *(f"{plain(thing.object)}: {object_result(thing)} {plain(thing.advice.text)}" for thing in check.worst_first),
        "",
        curve_finding(check.curve) if check.curve else check.no_curve,
        strange_finding(check),
        *(["", *map(plain, check.notes)] if check.notes else []),
    ]
    return "\n".join(parts) + "\n"


def headline(check: UserCheck) -> tuple[str, str]:
    """`83 %`, and of what."""
    count = len(check.held_out)
    return (
        f"{percent(check.accuracy, 0)} %",
        f"of the frames of {count} held-out videos were recognised, and {check.recognised} of these videos as a whole.",
    )


def rough_note(check: UserCheck) -> str:
    """How little so few videos say, with videos as the unit."""
    count, most = len(check.held_out), max(len(thing.held_out) for thing in check.objects)
    return (
        f"These numbers are rough: {check.recognised} of {count} videos leave room for "
        f"{interval(check.recognised, count)} % (95 % interval), and even {most} of {most} of one object for "
        f"{interval(most, most)} %. The worst objects may be better than they look here, and the best worse."
    )


def interval(recognised: int, videos: int) -> str:
    """`23 to 88`, in percent: see wilson_interval."""
    low, high = wilson_interval(recognised, videos)
    return f"{percent(low, 0)} to {percent(high, 0)}"


def object_result(thing: ObjectCheck) -> str:
    """`62 % of frames and 3 of 5 videos recognised; taken for bowl in 25 % of frames.`"""
    if thing.accuracy is None:
        return "not checked."
    videos = f"{thing.recognised} of {len(thing.held_out)} videos"
    mistaken = f"; taken for {plain(thing.taken_for)} in {percent(thing.share, 0)} %" if thing.taken_for else ""
    return f"{percent(thing.accuracy, 0)} % of frames and {videos} recognised{mistaken}."


def curve_finding(curve: LearningCurve) -> str:
    """What the learning curve shows, in numbers and in words."""
    means = curve.accuracy().mean(axis=1)
    points = [f"{percent(mean, 0)} % with {count}" for count, mean in zip(curve.videos_taught, means, strict=True)]
    told = f"Taught with 1 video an object {percent(means[0], 0)} % of frames were recognised, {', '.join(points[1:])}."
    rise = curve.rise()
    if rise is None or rise.gain < RISES:
        return f"{told} It rises little at its end: more videos of the same kind are unlikely to help much."
    by = f"with {rise.many} in place of {rise.few}, {rise.better} of the videos did better and {rise.worse} worse"
    if rises(rise):
        return f"{told} It is still rising ({by}): more videos are likely to help."
    return f"{told} It rises, but not clearly ({by}): more videos may help."


def strange_finding(check: UserCheck) -> str:
    """What is to be expected of the answer "none of these"."""
    found = check.strange
    if found is None or check.auroc is None:
        return "'None of these' can't be checked: it takes two objects with two videos each."
    return (
        f"'None of these' would be answered for {percent(found.rejected, 0)} % of the objects' own frames, wrongly; "
        f"{percent(found.passed, 0)} % of the frames of things never taught would pass for one of the objects "
        f"(AUROC {check.auroc:.2f}, where 0.5 is chance)."
    )
