"""How a personal recognizer's answers are written: `mug`, `maybe mug`, or `none of these`.

What is written can be read back: an object whose name reads like another answer, or begins with a quotation mark,
stands in quotes.
"""

NONE_OF_THESE = "none of these"
MAYBE = "maybe "

_QUOTE = '"'


def sure_text(thing: str) -> str:
    """The answer that names an object."""
    plain = " ".join(thing.split()).casefold()
    confusing = plain == NONE_OF_THESE or plain.startswith(MAYBE) or thing.startswith(_QUOTE)
    return f"{_QUOTE}{thing}{_QUOTE}" if confusing else thing


def maybe_text(thing: str) -> str:
    """The answer that names an object without being sure."""
    return f"{MAYBE}{sure_text(thing)}"
