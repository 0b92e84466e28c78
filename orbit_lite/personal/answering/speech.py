"""What is seen, in words to be spoken: a line when that changes, and none for an odd frame."""

from eval.formats.answer_text import MAYBE
from orbit_lite.personal.answering.answers import FrameAnswer
from orbit_lite.personal.decision.rejection import Kind

HOLD_S = 0.5  # how long all frames must give the same answer before it is spoken
NOT_KNOWN = "I do not know this"


class Speech:
    """When to speak, and what.

    An object is spoken when all frames of the last HOLD_S named it, two at least, and it is not what was spoken last;
    with "maybe" unless all of them were sure, and again without it once they are. So it comes HOLD_S late, and looks at
    no later frame. Where single frames are odd, smoothing makes it come sooner.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        """Begin with nothing spoken."""
        self._hold_s = hold_s
        self._spoken: tuple[int, Kind] | None = None
        self._held: FrameAnswer | None = None  # the first of the frames in a row that name what the last one names
        self._sure: FrameAnswer | None = None  # the first of those in a row that are sure of it

    def line(self, answer: FrameAnswer) -> str | None:
        """What to say at the next frame, if anything."""
        if self._held is None or answer.label != self._held.label:
            self._held, self._sure = answer, answer if answer.kind is Kind.SURE else None
            return None
        if answer.kind is not Kind.SURE:
            self._sure = None
        elif self._sure is None:
            self._sure = answer
        if answer.time_s - self._held.time_s < self._hold_s:
            return None
        sure = self._sure is not None and answer.time_s - self._sure.time_s >= self._hold_s
        kind = Kind.NONE if not answer.known else Kind.SURE if sure else Kind.MAYBE
        if self._spoken in ((answer.label, kind), (answer.label, Kind.SURE)):
            return None
        self._spoken = answer.label, kind
        return spoken(answer.object, kind)


def spoken(thing: str, kind: Kind) -> str:
    """An answer in words that speak well: folder names may have underscores for spaces.

    A name is one line, whatever characters it holds: another line would be another thing seen.
    """
    if kind is Kind.NONE:
        return NOT_KNOWN
    name = " ".join(thing.replace("_", " ").split())
    return f"{MAYBE}{name}" if kind is Kind.MAYBE else name
