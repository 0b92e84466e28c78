import itertools
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from data_prep.workers.stream import StreamWorker
from groundwork.errors import DataError

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("spawned")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

# All functions are from the standard library, because the process must be able to import them.


@pytest.fixture
def worker():
    with StreamWorker() as worker:
        yield worker


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


def process_of(worker):
    """The id of the worker's process, reported by the process itself."""
    (process_id,) = worker.iterate(partial(map, eval), ["__import__('os').getpid()"], hang_s=600)
    return process_id


def test_values_come_in_order_from_one_process_for_all_items(worker):
    assert list(worker.iterate(range, 1000, hang_s=600)) == list(range(1000))
    first = process_of(worker)
    assert first != os.getpid()
    assert list(worker.iterate(iter, "abc", hang_s=600)) == ["a", "b", "c"]
    assert process_of(worker) == first


def test_an_error_comes_after_the_values_before_it_and_affects_only_its_item(worker):
    values = worker.iterate(partial(map, math.sqrt), [4.0, -1.0, 9.0], hang_s=600)
    assert next(values) == 2.0
    with pytest.raises(ValueError, match="math domain error") as caught:
        next(values)
    assert "stream.py" in "".join(caught.value.__notes__)  # where it was raised
    assert list(worker.iterate(range, 2, hang_s=600)) == [0, 1]


def test_a_process_that_dies_or_hangs_is_reported_and_replaced(worker):
    with pytest.raises(DataError, match=r"its process died \(exit code -9\)"):
        list(worker.iterate(partial(map, signal.raise_signal), [signal.SIGKILL], hang_s=600))
    first = process_of(worker)
    with pytest.raises(DataError, match="no result for 1 s"):
        list(worker.iterate(partial(map, time.sleep), [600], hang_s=1))
    assert not is_alive(first)
    assert list(worker.iterate(range, 2, hang_s=600)) == [0, 1]


@needs_proc
def test_closing_the_iterator_or_ending_the_block_stops_the_process():
    with StreamWorker() as worker:
        first = process_of(worker)
        endless = worker.iterate(itertools.count, 0, hang_s=600)
        assert next(endless) == 0
        endless.close()
        assert not is_alive(first)
        second = process_of(worker)
    assert not is_alive(second)


def test_the_process_is_at_most_one_value_ahead(worker, tmp_path):
    message = tmp_path / "message"
    command = [
        "sh",
        "-c",
        f"echo >> {message}; head -c 1000000 /dev/zero",
    ]  # records that it ran; more bytes than a pipe holds
    values = worker.iterate(partial(map, subprocess.check_output), [command] * 20, hang_s=600)
    for taken in range(1, 4):
        assert len(next(values)) == 1_000_000
        time.sleep(0.3)
        assert taken <= message.read_text().count("\n") <= taken + 1


WORK = """
import itertools, os, pathlib

def numbers(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    return map(bytes, itertools.repeat(100_000))
"""
SCRIPT = """
import signal, sys
sys.path.insert(0, {root!r})
from data_prep.workers.stream import StreamWorker
from work import numbers

# SIGINT may be ignored if the tests run in the background, and children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
with StreamWorker() as worker:
    for _ in worker.iterate(numbers, sys.argv[1], hang_s=600):
        pass
"""


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_process_ends_with_its_parent_and_leaves_ctrl_c_to_it(tmp_path, how):
    script, folder = tmp_path / "run.py", tmp_path / "pids"
    folder.mkdir()
    (tmp_path / "work.py").write_text(WORK)
    script.write_text(SCRIPT.format(root=str(ROOT)))
    command = [sys.executable, str(script), str(folder)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_until(lambda: os.listdir(folder))
        child = int(os.listdir(folder)[0])
        assert is_alive(child)
        if how == signal.SIGINT:
            os.killpg(parent.pid, how)  # like a terminal, to both processes
        else:
            parent.send_signal(how)
        message = parent.communicate(timeout=300)[1]
    finally:
        parent.kill()
    wait_until(lambda: not is_alive(child))
    assert message.count("Traceback") == (how == signal.SIGINT)
