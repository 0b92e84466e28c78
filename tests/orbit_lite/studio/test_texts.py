"""All that the page says stands in one file, and all of that file is said."""

import re
from pathlib import Path

import pytest

from orbit_lite.studio.wording import wording

ROOM = Path(__file__).resolve().parents[3] / "orbit_lite" / "studio"
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))
SCRIPTS = sorted((ROOM / "static").glob("*.js"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_no_words_of_their_own(template):
    """What is between tags, and in attributes that are read out, comes from the texts."""
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
    between = " ".join(re.findall(r">([^<>]*)<", text))
    assert not re.search(r"[A-Za-z]{2,}", between), between
    assert not re.search(r'(aria-label|alt|title|placeholder)="[^"]*[A-Za-z]{2,}', text)
    assert "style=" not in text and not re.search(r"<script(?![^>]*src=)|\son[a-z]+=", text)


def test_every_key_that_is_asked_for_is_there_and_every_one_is_asked_for():
    sources = "\n".join(path.read_text() for path in (*ROOM.rglob("*.py"), *TEMPLATES, *SCRIPTS))
    keys = set(wording().texts)
    asked = set(re.findall(r"""(?:words|text|wording\(\))\(\s*["']([a-z_]+(?:\.[a-z_]+)+)["']""", sources))
    assert asked <= keys
    named = {key for key in keys if f'"{key}"' in sources or f"'{key}'" in sources}
    made = re.compile(
        r"(count|study\.one|remove\.videos|live\.(sure|maybe|none|careful|balanced|eager)|delete\.\w+|place\.\w+)"
    )
    assert {key for key in keys - named if not made.match(key)} == set()


def test_a_text_with_a_name_that_is_not_given_is_found_out():
    with pytest.raises(KeyError):
        wording()("study.added")
    assert wording().number("count.things", 1) == "1 thing" and wording().number("count.things", 0) == "0 things"
