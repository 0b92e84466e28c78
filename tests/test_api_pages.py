"""The API pages that `make docs` builds."""

import re
import subprocess
import sys
from html import unescape
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason="pdoc, of the extra 'docs', is not installed")
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "docs" / "build_api.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: pdoc imports all modules, and reads annotations that only type checkers see."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """The pages by module; `index` is one, too."""
    out = tmp_path_factory.mktemp("api")
    done = run(str(SCRIPT), str(out))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no warning
    return {
        ".".join(path.relative_to(out).with_suffix("").parts): path.read_text("utf-8") for path in out.rglob("*.html")
    }


@pytest.mark.slow
def test_every_public_name_is_on_its_page_and_the_index_links_to_each(pages):
    for module in sorted({*pages} - {"index"}):
        assert f'href="{module.replace(".", "/")}.html"' in pages["index"], module
        for name in getattr(import_module(module), "__all__", ()):
            assert f'id="{name}"' in pages[module], f"{module}.{name}"
    assert {"orbit_lite", "data_prep.video", "eval.metrics", "groundwork.errors"} <= pages.keys()


@pytest.mark.slow
def test_docstrings_become_lists_and_annotations_are_those_of_the_code(pages):
    for module, page in pages.items():
        text = unescape(re.sub(r"<[^>]+>", "", page))
        assert not re.search(r"NoneType|PydanticUndefined|FieldInfo|numpy\._typing|Discriminator| at 0x", text), module
        assert "Args:" not in text, module
    assert re.search(r"<pre>.*import.*load_recognizer", pages["orbit_lite"])
    metrics = pages["eval.metrics"]
    assert re.search(r'<h6 id="arguments">Arguments:</h6>\s*<ul>\s*<li><strong>predictions:</strong>', metrics)


@pytest.mark.slow
def test_what_pdoc_warns_of_ends_the_build(tmp_path):
    (tmp_path / "made_up.py").write_text('def f(x: "Nonesuch") -> None:\n    """Do nothing."""\n')
    code = (
        f"import sys; sys.path[:0] = [{str(SCRIPT.parent)!r}, {str(tmp_path)!r}]\n"
        f"from pathlib import Path; from build_api import build; build(Path({str(tmp_path / 'out')!r}), ['made_up'])"
    )
    done = run("-c", code)
    assert done.returncode == 1
    assert "Nonesuch" in done.stderr.splitlines()[-1]
