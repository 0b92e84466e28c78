"""The page in a real browser, checked by axe-core: no violation of its accessibility rules, wide or narrow."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eval.leaderboard import leaderboard, leaderboard_html
from eval.report import write_report

ROOT = Path(__file__).resolve().parents[3]
# `.ci/run` puts it there with npm; AXE_CORE names another place.
AXE = Path(os.environ.get("AXE_CORE", ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"))
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

CHECK = """<script src="axe.min.js"></script>
<script>
axe.run(document).then(found => {
  const told = document.createElement("pre");
  told.id = "found-by-axe";
  told.textContent = JSON.stringify({
    passes: found.passes.map(rule => rule.id),
    violations: found.violations.map(rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 300))]),
  });
  document.body.append(told);
});
</script>
</body>"""


@pytest.fixture
def axe(tmp_path):
    """Check a page at a window width: the rules that it keeps, and those that it breaks, with where."""
    if not AXE.is_file():
        pytest.skip(f"axe-core is not there: npm install --prefix {ROOT / '.ci' / 'node'} axe-core")
    if BROWSER is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    folder = tmp_path / "browser"
    folder.mkdir()
    shutil.copy(AXE, folder / "axe.min.js")

    def check(page: str, width_px: int = 1100) -> tuple[set[str], list[list]]:
        (folder / "page.html").write_text(page.replace("</body>", CHECK))
        command = [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width_px},1000",
            "--virtual-time-budget=60000",
            "--dump-dom",
            (folder / "page.html").as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        (told,) = re.findall(r'<pre id="found-by-axe">(.*?)</pre>', done.stdout, re.DOTALL)
        found = json.loads(html.unescape(told))
        return set(found["passes"]), found["violations"]

    return check


@pytest.mark.parametrize("width_px", [1100, 500])
def test_a_report_with_everything_breaks_no_rule(tmp_path, axe, full_card, predicted, thumbnails, width_px):
    write_report(full_card, tmp_path, predicted=predicted, thumbnails=thumbnails)
    kept, broken = axe((tmp_path / "report.html").read_text(), width_px)
    assert broken == []
    # what it looked at: names of pictures and regions, contrast, tables, headings, landmarks, the keyboard
    assert {"image-alt", "color-contrast", "region", "heading-order", "link-name", "td-headers-attr"} <= kept


def test_hostile_names_break_no_rule(tmp_path, axe, hostile):
    card, predicted = hostile
    write_report(card, tmp_path, predicted=predicted)
    assert axe((tmp_path / "report.html").read_text())[1] == []


@pytest.mark.parametrize("width_px", [1100, 500])
def test_a_leaderboard_breaks_no_rule(axe, card, width_px):
    assert axe(leaderboard_html(leaderboard([("mine", card)])), width_px)[1] == []


def test_a_page_that_is_not_accessible_is_found_out(tmp_path, axe, card):
    write_report(card, tmp_path)
    page = (tmp_path / "report.html").read_text()
    broken = re.sub(r' alt="[^"]*"', "", page).replace('<html lang="en">', "<html>")
    broken = broken.replace(".headline strong {", ".headline strong { color: #ccc;")
    assert {rule for rule, _ in axe(broken)[1]} == {"image-alt", "html-has-lang", "color-contrast"}
