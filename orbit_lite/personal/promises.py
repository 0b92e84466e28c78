"""What a person is told of a recognizer: how much it recognizes, and how "none of these" goes. Each number is a promise
that tests hold against simulation or left-out data; the sentences say what each rests on."""

from collections.abc import Mapping
from typing import Any

from eval.intervals import bootstrap_over_users, too_few_users
from groundwork.words import counted
from orbit_lite.personal.decision.calibration import Estimate
from orbit_lite.personal.decision.rejection import Rejection
from orbit_lite.personal.start import is_embedded, place_loss, weak_start

# Points by which the estimate was too good where objects had two videos: mean of 100 runs on 5 users' photos.
PAIRS_TOO_GOOD = 6
HARDER = "Things that are small, half hidden or among others are harder: only test videos can tell by how much."


def estimate_lines(found: Estimate | None, origin: Mapping[str, Any]) -> list[str]:
    """How many frames are likely to be recognized, in sentences; the first is the headline."""
    if found is None:
        return [
            "How well it will recognize can't be estimated: no object has two videos, so none could be held out. Film "
            "a second video of each."
        ]
    lines = [
        f"About {share(found.accuracy)} of the frames are likely to be recognized in a new place (95 % interval "
        f"{100 * found.low:.0f} to {share(found.high)}; guessing would get {share(found.chance)}).",
        f"Estimated on {counted(found.videos, 'video')} that were held out, those that look unlike the rest together. "
        f"Held out one at a time, {share(found.same_place)} of their frames were recognized. Confidences were off by "
        f"{100 * found.ece:.0f} points on average (expected calibration error).",
    ]
    if weak := weak_start(origin):
        return [*lines, weak]
    if found.pairs:
        lines.append(
            "No object has three videos: the estimate is too good where both show one place (by about "
            f"{PAIRS_TOO_GOOD} points where that was measured), and too low where they show two."
        )
    if loss := place_loss(origin):
        lines.append(
            f"A new place cost this start {loss.points:.0f} points against another video of the same place "
            f"({loss.least:.0f} to {loss.most:.0f} in {loss.runs} runs, {loss.data})."
        )
    else:
        lines.append("How much a new place costs was not measured for this start: the estimate may be too good.")
    return [*lines, HARDER]


def rejection_lines(found: Rejection, origin: Mapping[str, Any]) -> list[str]:
    """When "none of these" is answered, and how often it is wrong, in sentences."""
    point, promised = found.point, found.promised_misses
    if point.threshold is None:
        return [
            "'None of these' is never answered, and every answer is a 'maybe': no object has two videos, so none could "
            "be held out to set a threshold."
        ]
    if point.aim is None or promised is None:
        return [
            "'None of these' is answered for things of quite another kind only, and every other answer is a 'maybe': "
            "no object has two videos, so none could be held out to set a threshold."
        ]
    few = f", the least that {counted(found.videos, 'held-out video')} can promise" if promised > point.aim else ""
    lines = [
        f"'None of these' ({how_strict(found)}) is meant to be answered for at most {share(promised)} of the frames of "
        f"these objects in a new place{few}. That holds if the videos show two places or more."
    ]
    if point.misses is not None:
        lines.append(
            f"It was answered for {share(point.misses)} of those of {counted(found.videos, 'held-out video')}."
        )
    if point.false_alarms is None:
        lines.append("How often another thing is called one of these can't be estimated: it takes three objects.")
    else:
        lines.append(
            f"Other things of the same kind are called one of these, with or without 'maybe', in about "
            f"{share(point.false_alarms)} of their frames: each object was left out in turn to be such a thing (AUROC "
            f"{found.auroc:.2f}, where 0.5 is chance)."
        )
    if is_embedded(origin):
        lines.append(
            "Things of quite another kind were called one of these without 'maybe' in about 1 of 100 pictures (10 "
            "runs, still photos of 5 users' groceries)."
        )
    return lines


def mean_over_participants(accuracies: Mapping[str, float], *, chance: float, of: str, seed: int) -> str:
    """The mean of participants' shares of frames recognized, and how far it can be trusted, in a sentence.

    Args:
        accuracies: by participant, in [0, 1].
        chance: what guessing would get on average.
        of: which videos the frames are of.
        seed: of the bootstrap over participants.
    """
    values = list(accuracies.values())
    found = bootstrap_over_users(values, list(accuracies), seed=seed, bounds=(0, 1))
    spread = (
        f"no interval over participants: {too_few_users(found)}"
        if found.low is None or found.high is None
        else f"95 % interval over participants {100 * found.low:.0f} to {share(found.high)}"
    )
    several = f" on average, from {100 * min(values):.0f} to {share(max(values))}" if len(values) > 1 else ""
    return (
        f"{counted(len(values), 'participant')}: {share(sum(values) / len(values))} of the frames of {of} were "
        f"recognized{several} ({spread}; guessing would get {share(chance)})."
    )


def share(fraction: float) -> str:
    """`83 %`."""
    return f"{100 * fraction:.0f} %"


def how_strict(found: Rejection) -> str:
    """How its threshold was chosen: a key of STRICTNESS, or in words."""
    if not found.curve:
        return "not chosen, since no video could be held out"
    if found.asked is None:
        return found.strictness
    least = found.least_false_alarms
    kept = least is not None and least <= found.asked
    return f"at most {share(found.asked)} false alarms" + ("" if kept else ", which these videos can't promise")
