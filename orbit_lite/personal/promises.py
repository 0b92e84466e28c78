"""Sentences for people about a recognizer: how much it recognizes, and when it answers "none of these". Tests compare
each number with simulations or left-out data; the sentences say what each is based on."""

from collections.abc import Mapping
from typing import Any

from eval.intervals import bootstrap_over_users, too_few_users
from groundwork.words import counted
from orbit_lite.personal.decision.calibration import Estimate
from orbit_lite.personal.decision.rejection import Rejection
from orbit_lite.personal.start import place_loss, weak_start

HARDER = (
    "Things that are small, half hidden or among other things are harder to recognize; only test videos can show how "
    "much harder."
)


def estimate_lines(found: Estimate | None, origin: Mapping[str, Any]) -> list[str]:
    """The expected share of frames recognized, in sentences; the first is the headline."""
    if found is None:
        return [
            "How well it will recognize can't be estimated: no object has two videos, so none could be held out. Film "
            "a second video of each object."
        ]
    lines = [
        f"About {share(found.accuracy)} of the frames are likely to be recognized in a new place (95 % interval "
        f"{100 * found.low:.0f} to {share(found.high)}; guessing would get {share(found.chance)}).",
        f"This was estimated on {counted(found.videos, 'held-out video')}; those that look unlike the rest were "
        f"held out together. With videos held out one at a time, {share(found.same_place)} of the frames were "
        f"recognized. Confidences were off by {100 * found.ece:.0f} points on average (expected calibration error).",
    ]
    if weak := weak_start(origin):
        return [*lines, weak]
    loss = place_loss(origin)
    if found.pairs:
        points = f" (by about {loss.pairs:.0f} points where this was measured)" if loss else ""
        lines.append(
            f"No object has three videos. The estimate is too high if both videos of an object show one place{points}, "
            "and too low if they show two."
        )
    if loss:
        lines.append(
            f"For this starting model, a new place cost {loss.points:.0f} points compared with another video of "
            f"the same place ({loss.least:.0f} to {loss.most:.0f} in {loss.runs} runs, {loss.data})."
        )
    else:
        lines.append("For this starting model, the loss in a new place was not measured: the estimate may be too high.")
    return [*lines, HARDER]


def rejection_lines(found: Rejection, origin: Mapping[str, Any]) -> list[str]:
    """When the answer is "none of these", and how often this is wrong, in sentences."""
    point, promised = found.point, found.promised_misses
    if point.threshold is None:
        return [
            "It never answers 'none of these', and every answer is a 'maybe': no object has two videos, so none could "
            "be held out to set a threshold."
        ]
    if point.aim is None or promised is None:
        return [
            "It answers 'none of these' only for things of a very different kind, and every other answer is a 'maybe': "
            "no object has two videos, so none could be held out to set a threshold."
        ]
    few = f", the lowest share that {counted(found.videos, 'held-out video')} can promise"
    lines = [
        f"'None of these' ({how_strict(found)}) should be the answer for at most {share(promised)} of the frames of "
        f"these objects in a new place{few if promised > point.aim else ''}. This holds if the videos show two or more "
        "places."
    ]
    if point.misses is not None:
        lines.append(
            f"It was the answer for {share(point.misses)} of the frames of {counted(found.videos, 'held-out video')}."
        )
    if point.false_alarms is None:
        lines.append("How often another thing gets one of these names can't be estimated: this takes three objects.")
    else:
        lines.append(
            f"Other things of the same kind get one of these names, with or without 'maybe', in about "
            f"{share(point.false_alarms)} of their frames. This was estimated by leaving out each object in turn "
            f"(AUROC {found.auroc:.2f}, where 0.5 is chance)."
        )
    if place_loss(origin):
        lines.append(
            "Things of a very different kind got one of these names without 'maybe' in about 1 of 100 pictures (10 "
            "runs, still photos of 5 users' groceries)."
        )
    return lines


def mean_over_participants(accuracies: Mapping[str, float], *, chance: float, of: str, seed: int) -> str:
    """The mean over participants of the share of frames recognized, with an interval, in a sentence.

    Args:
        accuracies: share of each participant, in [0, 1].
        chance: the mean share that guessing would get.
        of: which videos, in words.
        seed: seed of the bootstrap over participants.
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
    """How the threshold was chosen: a key of STRICTNESS, or a phrase."""
    if not found.curve:
        return "not chosen, since no video could be held out"
    if found.asked is None:
        return found.strictness
    least = found.least_false_alarms
    kept = least is not None and least <= found.asked
    return f"at most {share(found.asked)} false alarms" + ("" if kept else ", which these videos can't promise")
