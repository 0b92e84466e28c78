"""For all floors: one small pocket set of real video (3 train users, 1 validation user, 2 test users), a browser that
checks a page, a disk that is full."""

import html
import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from groundwork.cores import default_workers

# Torch and our own floors are not imported here: the tests of eval run where torch and video readers are not installed.

# At most two threads, so that tests on a large machine are not slowed by waiting; `make test` asks for one. Torch reads
# this when it is first imported.
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))

# How long an example takes says something about the machine, not about the code.
settings.register_profile("kit", deadline=None)
settings.load_profile("kit")

ROOT = Path(__file__).resolve().parents[1]
# `.ci/run` puts it there with npm; AXE_CORE names another place.
AXE = Path(os.environ.get("AXE_CORE", ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"))
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

RUN_AXE = """<script src="axe.min.js"></script>
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


# What worker processes need. Without torch, as the tests of eval may run, the last is passed over.
PRELOADED = ("pytest", "data_prep.making.extract", "data_prep.quality.estimate", "orbit_lite.data.loader")
LONGEST = (
    *("test_demo.py", "test_documented_commands.py", "test_ranks.py", "test_loop.py", "test_lite.py"),
    *("test_nothing_left_changed.py", "test_forget.py", "test_inner_loop.py", "test_predict.py", "test_decoding.py"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for others' processes, and for the disk."""
    return default_workers() + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long`, but where `-m` speaks of it. Begin with the longest files: at the end no process
    is left alone with one, while the others have none."""
    if "long" not in (config.option.markexpr or ""):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture
def reported(caplog) -> Callable[[], list[str]]:
    """Gives what library calls have reported since it was last asked, a command line's default and worse."""
    for floor in ("groundwork", "data_prep", "orbit_lite", "eval"):
        caplog.set_level(logging.INFO, logger=floor)

    def lines() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return lines


@pytest.fixture(scope="session", autouse=True)
def _forked_workers() -> Iterator[None]:
    """Worker processes are forked from one clean process that has the libraries loaded.

    The kit does so on Linux, without torch. Elsewhere, and for torch's own workers, it starts them by spawn, which
    passes them the same but loads everything each time: 0.5 s of a processor, 3 s with torch. What hangs on the start
    itself is tested with the fixture `spawned`, or in a process of its own.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        yield
        return
    server = multiprocessing.get_context("forkserver")
    with suppress(ModuleNotFoundError):  # eval's tests run without the other floors, too
        assert all(map(find_spec, PRELOADED))  # a name that is none would be passed over
    server.set_forkserver_preload(list(PRELOADED))
    with pytest.MonkeyPatch.context() as patch:
        with suppress(ModuleNotFoundError):
            patch.setattr(import_module("data_prep.workers.starting"), "PRELOADED", PRELOADED)
        patch.setitem(multiprocessing.context._concrete_contexts, "spawn", server)
        yield


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes start as they do outside the tests."""
    monkeypatch.setitem(multiprocessing.context._concrete_contexts, "spawn", multiprocessing.context.SpawnContext())


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once in a test run: the first process that asks makes it, the others wait for it. Each gets a copy
    of its own, so that it never meets the locks and parts of a test that runs at the same time."""
    from groundwork.lock import one_at_a_time

    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with one_at_a_time(folder, "tests"):
            if not folder.exists():
                make(shared / f"{name}.part")
                (shared / f"{name}.part").rename(folder)
        if not (own / name).exists():
            shutil.copytree(folder, own / name)
        return own / name

    return made


@pytest.fixture(scope="session")
def pocket(made_once) -> Path:
    """A folder with `pocket_raw` and `pocket_frames` in it, made once in a test run."""
    from data_prep.making.extract import extract
    from data_prep.pocket.pocket_set import make_pocket
    from data_prep.tree.index import build_index

    def make(folder: Path) -> None:
        make_pocket(folder / "raw", users=(3, 1, 2), objects=3, clean_videos=2, clutter_videos=1, seed=5)
        build_index(folder / "raw")  # else whichever test opens it first leaves one, and the order of tests matters
        extract(folder / "raw", folder / "frames")

    return made_once("pocket", make)


@pytest.fixture(scope="session")
def pocket_raw(pocket) -> Path:
    """Raw tree, with its index. Not to be changed: copy it."""
    return pocket / "raw"


@pytest.fixture(scope="session")
def pocket_frames(pocket) -> Path:
    """The frame tree of `pocket_raw`, with its index. Not to be changed: copy it."""
    return pocket / "frames"


KILL = """
import os, re, signal, sys

def kill(signal_number, event, place, count):
    def watch(name, arguments):
        nonlocal count
        # of a rename, where to; of other events, the first path
        if name == event and re.search(place, str(arguments[name == "os.rename"])):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal_number)
    sys.addaudithook(watch)
"""


@pytest.fixture
def run_killed() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a process that sends itself a signal at one moment of its work: on a slow machine and on a fast one
    it is cut off at the same place. When this returns, all of its worker processes have ended too."""

    def run(code, *arguments, event="os.rename", place="", count=1, by=signal.SIGKILL):
        """Right before its `count`th audit event of that name at a path in which the expression `place` is found."""
        source = f"{KILL}\nkill({int(by)}, {event!r}, {place!r}, {count})\n{code}"
        if by == signal.SIGINT:  # who runs the tests in the background may have it ignored, and children inherit that
            source = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{source}"
        command = [sys.executable, "-c", source, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # until all have let go of the pipes
        assert done.returncode == -by, f"not cut off: exit status {done.returncode}, {done.stderr}"
        return done

    return run


@pytest.fixture
def small_disk(tmp_path_factory) -> Iterator[Callable[[int], Path]]:
    """Make a file system of so many KB (a tmpfs, which takes root): a real full disk."""
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        place = tmp_path_factory.mktemp("disk")
        options = f"size={kilobytes}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip(f"a tmpfs can't be mounted here: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


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
        (folder / "page.html").write_text(page.replace("</body>", RUN_AXE))
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        (told,) = re.findall(r'<pre id="found-by-axe">(.*?)</pre>', done.stdout, re.DOTALL)
        found = json.loads(html.unescape(told))
        return set(found["passes"]), found["violations"]

    return check
