"""Shared by the browser tests: Debian's Chromium with Playwright, a camera that plays a synthetic video, axe-core."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_prep.video import encode_jpeg, iterate_frames

ROOT = Path(__file__).resolve().parents[3]
# `.ci/run` installs it there with npm; AXE_CORE gives another path
AXE = Path(os.environ.get("AXE_CORE", ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"))
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS, SCHEMES = (1280, 320), ("light", "dark")
PATIENCE_MS = 120_000  # on a busy machine
# records what would be spoken, because a headless browser has no voice
LISTEN = """window.spoken = [];
speechSynthesis.speak = said => window.spoken.push(said.text);"""


@contextmanager
def browser(*, camera: Path | None = None, allowed: bool = True) -> Iterator[object]:
    """A browser; `camera` is what its camera shows, or None for a computer without a camera."""
    if BROWSER is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    playing = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    options = ["--no-sandbox", "--disable-dev-shm-usage"]
    if camera is not None:
        options += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    if allowed:
        options.append("--use-fake-ui-for-media-stream")
    with playing.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=options)
        try:
            yield running
        finally:
            running.close()


def opened(running, client, **options):
    """A page of the study in a new window, opened with the printed address; its errors are in `page.faults`."""
    context = running.new_context(viewport={"width": 1280, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(LISTEN)
    page.faults, page.asked = [], set()
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if is_fault(line) else None)
    page.on("request", lambda request: page.asked.add(request.url.split("/")[2] if "://" in request.url else "data"))
    page.base = f"http://127.0.0.1:{client.address.port}"
    page.goto(str(client.address))
    page.wait_for_url(f"{page.base}/")
    return page


def is_fault(line):
    """Whether a browser's message is an error, other than responses that tests expect (404, 422)."""
    return line.type in ("error", "warning") and "Failed to load resource" not in line.text


def make_camera(video: Path, place: Path) -> Path:
    """A file that Chromium's fake camera repeats: a video's pictures as consecutive JPEGs."""
    place.write_bytes(b"".join(encode_jpeg(picture) for _, picture in iterate_frames(video, size_px=320)))
    return place


def broken_rules(page, *, only=()):
    """The rules of axe-core, all or `only` these, that the page breaks in its present state, and where."""
    if not AXE.is_file():
        pytest.skip(f"axe-core is not there: npm install --prefix {ROOT / '.ci' / 'node'} axe-core")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(only)} if only else {})
    return page.evaluate(
        """async (options) => (await axe.run(document, options)).violations
        .map(rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 200) + node.failureSummary)])""",
        options,
    )


def everywhere(page):
    """At each width and in each color scheme, no rule is broken and nothing is cut off at the side. Dark differs from
    light only in colors."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            broken = broken_rules(page, only=["color-contrast"] if scheme == "dark" else [])
            assert not broken, (page.url, width, scheme, broken)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (page.url, width)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
