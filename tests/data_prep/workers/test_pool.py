import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.workers.pool import require_processes, run_in_workers
from groundwork.errors import DataError, UsageError

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("spawned")

# All functions are from the standard library, because workers must be able to import them.


def is_alive(process_id: int) -> bool:
    """Whether a process is running; a zombie process is not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, limit_s=300.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_every_item_gets_its_value_or_its_error():
    outcomes = {o.item: o for o in run_in_workers(math.sqrt, [4.0, -1.0, 9.0], workers=2, time_limit_s=600)}
    assert (outcomes[4.0].value, outcomes[9.0].value) == (2.0, 3.0)
    assert outcomes[4.0].error is None
    assert isinstance(outcomes[-1.0].error, ValueError) and outcomes[-1.0].value is None


def test_no_items_start_no_workers():
    assert list(run_in_workers(math.sqrt, [], workers=2, time_limit_s=600)) == []


def test_only_an_item_that_hangs_fails():
    hangs = 1e6  # seconds
    outcomes = {o.item: o for o in run_in_workers(time.sleep, [hangs, 0.0, 0.01, 0.02], workers=1, time_limit_s=4.0)}
    assert isinstance(outcomes[hangs].error, DataError) and "not finished after 4 s" in str(outcomes[hangs].error)
    assert all(outcomes[item].error is None for item in (0.0, 0.01, 0.02))


def test_only_the_item_of_a_worker_that_dies_fails():
    outcomes = {o.item: o for o in run_in_workers(signal.raise_signal, [9, 28], workers=1, time_limit_s=600)}
    assert isinstance(outcomes[9].error, DataError) and "died" in str(outcomes[9].error)
    assert outcomes[28].error is None  # SIGWINCH is ignored by default


WORK = """
import os, pathlib, time

def work(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(600)
"""
SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
from data_prep.workers.pool import run_in_workers
from work import work

run = run_in_workers(work, [sys.argv[1]] * 2, workers=2, time_limit_s=600)
{body}
"""


def test_a_function_of_the_main_script_is_rejected(monkeypatch):
    monkeypatch.setattr(is_alive, "__module__", "__main__")  # no worker could import it
    with pytest.raises(ValueError, match="main script"):
        next(run_in_workers(is_alive, [1], workers=1, time_limit_s=60))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script, folder = tmp_path / "run.py", tmp_path / "pids"
    folder.mkdir()
    (tmp_path / "work.py").write_text(WORK)
    script.write_text(SCRIPT.format(root=str(ROOT), body="next(run)"))
    parent = subprocess.Popen([sys.executable, str(script), str(folder)])
    try:
        wait_until(lambda: len(os.listdir(folder)) == 2)
        workers = [int(name) for name in os.listdir(folder)]
        assert all(map(is_alive, workers))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(map(is_alive, workers)))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_end_when_the_caller_stops_iterating(tmp_path):
    script, folder = tmp_path / "run.py", tmp_path / "pids"
    folder.mkdir()
    (tmp_path / "work.py").write_text(WORK)
    # SIGINT may be ignored if the tests run in the background, and children inherit that
    heed = "import signal, threading\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    body = "threading.Timer(3, lambda: os.kill(os.getpid(), 2)).start(); next(run)"
    script.write_text(heed + SCRIPT.format(root=str(ROOT), body=body))
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=300)
    assert "KeyboardInterrupt" in done.stderr
    workers = [int(name) for name in os.listdir(folder)]
    assert len(workers) == 2 and not any(map(is_alive, workers))


@pytest.mark.parametrize(
    ("workers", "limit", "said"), [(0, 5, "0 workers: expected 1 or more"), (2, 0, "limit 0 s: expected more than 0")]
)
def test_numbers_that_make_no_sense_are_refused_by_name(workers, limit, said):
    require_processes(None, 1)
    with pytest.raises(UsageError, match=said):
        require_processes(workers, limit)
