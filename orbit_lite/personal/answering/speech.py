"""What is seen, in words to be spoken: a line when that changes, and none for an odd frame."""

from orbit_lite.personal.answering.answers import FrameAnswer

HOLD_S = 0.5  # how long all frames must give the same answer before it is spoken
NOT_KNOWN = "I do not know this"


class Speech:
    """When to speak, and what.

    An answer is spoken when all frames of the last HOLD_S gave it, two at least, and it is not what was spoken last. So
    it comes HOLD_S late, and looks at no later frame. Where single frames are odd, smoothing makes it come sooner.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        """Begin with nothing spoken."""
        self._hold_s = hold_s
        self._spoken: int | None = None
        self._held: FrameAnswer | None = None  # the first of the frames in a row that agree with the last one

    def line(self, answer: FrameAnswer) -> str | None:
        """What to say at the next frame, if anything."""
        if self._held is None or answer.label != self._held.label:
            self._held = answer
            return None
        if answer.label == self._spoken or answer.time_s - self._held.time_s < self._hold_s:
            return None
        self._spoken = answer.label
        return spoken(answer)


def spoken(answer: FrameAnswer) -> str:
    """An answer in words that speak well: folder names may have underscores for spaces.

    A name is one line, whatever characters it holds: another line would be another thing seen.
    """
    return " ".join(answer.object.replace("_", " ").split()) if answer.known else NOT_KNOWN
