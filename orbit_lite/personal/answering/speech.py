"""Answers as words to speak: one line when the object in view changes; single deviating frames are ignored."""

from eval.formats.answer_text import MAYBE
from orbit_lite.personal.answering.answers import FrameAnswer
from orbit_lite.personal.decision.rejection import Certainty

HOLD_S = 0.5  # an answer is spoken after all frames have given it for this long
NOT_KNOWN = "I do not know this"


class Speech:
    """Decides when to speak and what to say.

    An object is spoken when all frames of the last HOLD_S, at least two, named it and it was not the last one spoken.
    It is spoken with "maybe" unless all these frames were sure; once they are, it is spoken again without. So speech is
    HOLD_S late and never needs a later frame. If single frames deviate, smoothing makes speech come sooner.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        """Begin with nothing spoken."""
        self._hold_s = hold_s
        self._spoken: tuple[int, Certainty] | None = None
        self._held: FrameAnswer | None = None  # the first of the latest frames that all name the same object
        self._sure: FrameAnswer | None = None  # the first of the latest of those that are all sure

    def line(self, answer: FrameAnswer) -> str | None:
        """The line to speak at the next frame, or None."""
        if self._held is None or answer.label != self._held.label:
            self._held, self._sure = answer, answer if answer.kind is Certainty.SURE else None
            return None
        if answer.kind is not Certainty.SURE:
            self._sure = None
        elif self._sure is None:
            self._sure = answer
        if answer.time_s - self._held.time_s < self._hold_s:
            return None
        sure = self._sure is not None and answer.time_s - self._sure.time_s >= self._hold_s
        kind = Certainty.NONE if not answer.known else Certainty.SURE if sure else Certainty.MAYBE
        if self._spoken in ((answer.label, kind), (answer.label, Certainty.SURE)):
            return None
        self._spoken = answer.label, kind
        return spoken(answer.object, kind)


def spoken(thing: str, kind: Certainty) -> str:
    """An answer as words to speak, with spaces for the underscores that folder names may have.

    It is always one line, whatever characters the name has, because a second line would be heard as a second object.
    """
    if kind is Certainty.NONE:
        return NOT_KNOWN
    name = " ".join(thing.replace("_", " ").split())
    return f"{MAYBE}{name}" if kind is Certainty.MAYBE else name
