"""All that the page says stands in one file, and all of that file is said."""

import ast
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


SENTENCE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}")
# what is said in the terminal, before there is a page; logged; or no text
NOT_ON_PAGES = {"server.py": ["listening", "only_studio", "_why"], "study.py": ["open"], "wording.py": ["module"]}
LOGGED = ("_LOG.exception", "_LOG.error", "_LOG.warning", "_LOG.info")
FAULTS_OF_THE_KIT = {"no frame to answer for"}


@pytest.mark.parametrize("module", sorted(ROOM.rglob("*.py")), ids=lambda path: path.relative_to(ROOM).as_posix())
def test_modules_have_no_sentences_of_their_own(module):
    """An error's message reaches the page, too."""
    assert sentences(ast.parse(module.read_text()), NOT_ON_PAGES.get(module.name, [])) == []


def test_a_sentence_in_a_module_is_found():
    module = (
        '''"""What it is for."""\ndef f(n):\n    """What it does."""\n    raise Gone(f"No {n} is here any more.")'''
    )
    assert sentences(ast.parse(module), []) == [" is here any more."]
    assert sentences(ast.parse(module), ["f"]) == [] and sentences(ast.parse('_LOG.info("not for a page")'), []) == []


def sentences(module, passed_over):
    """String constants with two words or more that are no docstrings, log lines or markup."""
    found, nodes = [], [module]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SENTENCE.search(without_tags(node.value)):
            found.append(node.value)
        logged = isinstance(node, ast.Call) and ast.unparse(node.func) in LOGGED
        named = isinstance(node, ast.FunctionDef) and node.name in passed_over
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (logged or named or docstring):
            nodes += ast.iter_child_nodes(node)
    return [text for text in found if text not in FAULTS_OF_THE_KIT]


def without_tags(text):
    return re.sub(r"<[^>]*>?|[a-z-]+='[^']*'", "", text)


def test_every_key_that_is_asked_for_is_there_and_every_one_is_asked_for():
    sources = "\n".join(path.read_text() for path in (*ROOM.rglob("*.py"), *TEMPLATES, *SCRIPTS))
    keys = set(wording().texts)
    asked = set(re.findall(r"""(?:words|text|wording\(\))\(\s*["']([a-z_]+(?:\.[a-z_]+)+)["']""", sources))
    assert asked <= keys
    named = {key for key in keys if f'"{key}"' in sources or f"'{key}'" in sources}
    made = re.compile(
        r"(name\.(participant|thing)|count|study\.one|remove\.videos|live\.(sure|maybe|none|careful|balanced|eager)|delete\.\w+|place\.\w+)"
    )
    assert {key for key in keys - named if not made.match(key)} == set()


def test_a_text_with_a_name_that_is_not_given_is_found_out():
    with pytest.raises(KeyError):
        wording()("study.added")
    assert wording().number("count.things", 1) == "1 thing" and wording().number("count.things", 0) == "0 things"
