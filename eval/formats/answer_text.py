"""The text of a personal recognizer's answers: `mug`, `maybe mug`, or `none of these`.

The text can be parsed again: an object's name that looks like another answer, or starts with a quotation mark, is
quoted.
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
