"""The texts of the page by key, in one file for templates and scripts, so that it can be translated as a whole."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

from groundwork.strict_json import parse_json

LANGUAGE = "en"


class Wording:
    """One language's texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its `{names}` filled in. Raises KeyError for a missing key or name."""
        return self.texts[key].format(**values)

    def number(self, key: str, count: int, **values: object) -> str:
        """The text for a count: `KEY.one` for 1, otherwise `KEY.other`."""
        return self(f"{key}.{'one' if count == 1 else 'other'}", count=count, **values)

    def module(self) -> str:
        """The texts for the page's scripts, as an ES module."""
        return f"export default {json.dumps(self.texts, ensure_ascii=False)};\n"


@cache
def wording(language: str = LANGUAGE) -> Wording:
    """The texts of a language."""
    place = resources.files("orbit_lite.studio").joinpath("texts", f"{language}.json")
    return Wording(parse_json(place.read_text(encoding="utf-8")))
