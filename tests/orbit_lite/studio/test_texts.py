"""All texts of the page are in one file, and all texts in that file are used."""

import ast
import re
from pathlib import Path

import pytest

from orbit_lite.studio.wording import wording

STUDIO = Path(__file__).resolve().parents[3] / "orbit_lite" / "studio"
TEMPLATES = sorted((STUDIO / "templates").glob("*.html"))
SCRIPTS = sorted((STUDIO / "static").glob("*.js"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_contain_no_text(template):
    """Text between tags, and in attributes that are read aloud, comes from the file of texts."""
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
    between = " ".join(re.findall(r">([^<>]*)<", text))
    assert not re.search(r"[A-Za-z]{2,}", between), between
    assert not re.search(r'(aria-label|alt|title|placeholder)="[^"]*[A-Za-z]{2,}', text)
    assert "style=" not in text and not re.search(r"<script(?![^>]*src=)|\son[a-z]+=", text)


SENTENCE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}")
# messages in the terminal, before there is a page
NOT_ON_PAGES = {"server.py": ["listening", "only_studio", "_why"], "study.py": ["open"], "wording.py": ["module"]}
LOGGED = ("_LOG.exception", "_LOG.error", "_LOG.warning", "_LOG.info")
INTERNAL_ERRORS = {"no frame to answer for"}


@pytest.mark.parametrize("module", sorted(STUDIO.rglob("*.py")), ids=lambda path: path.relative_to(STUDIO).as_posix())
def test_modules_contain_no_sentences(module):
    """Error messages are shown on the page, too."""
    assert sentences(ast.parse(module.read_text()), NOT_ON_PAGES.get(module.name, [])) == []


def test_a_sentence_in_a_module_is_found():
    module = (
        '''"""What it is for."""\ndef f(n):\n    """What it does."""\n    raise Gone(f"No {n} is here any more.")'''
    )
    assert sentences(ast.parse(module), []) == [" is here any more."]
    assert sentences(ast.parse(module), ["f"]) == [] and sentences(ast.parse('_LOG.info("not for a page")'), []) == []


def sentences(module, skipped):
    """String constants with two or more words that are not docstrings, log lines or markup."""
    found, nodes = [], [module]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SENTENCE.search(without_tags(node.value)):
            found.append(node.value)
        logged = isinstance(node, ast.Call) and ast.unparse(node.func) in LOGGED
        named = isinstance(node, ast.FunctionDef) and node.name in skipped
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (logged or named or docstring):
            nodes += ast.iter_child_nodes(node)
    return [text for text in found if text not in INTERNAL_ERRORS]


def without_tags(text):
    return re.sub(r"<[^>]*>?|[a-z-]+='[^']*'", "", text)


def test_every_key_exists_and_is_used():
    sources = "\n".join(path.read_text() for path in (*STUDIO.rglob("*.py"), *TEMPLATES, *SCRIPTS))
    keys = set(wording().texts)
    asked = set(re.findall(r"""(?:words|text|wording\(\))\(\s*["']([a-z_]+(?:\.[a-z_]+)+)["']""", sources))
    assert asked <= keys
    named = {key for key in keys if f'"{key}"' in sources or f"'{key}'" in sources}
    made = re.compile(
        r"(name\.(participant|thing)|count|study\.one|remove\.videos|live\.(sure|maybe|none|careful|balanced|eager)|delete\.\w+|place\.\w+)"
    )
    assert {key for key in keys - named if not made.match(key)} == set()


def test_a_text_without_its_name_is_an_error():
    with pytest.raises(KeyError):
        wording()("study.added")
    assert wording().number("count.things", 1) == "1 thing" and wording().number("count.things", 0) == "0 things"
