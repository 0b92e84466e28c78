import errno
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.errors import UsageError
from groundwork.lock import is_being_written, only_run, only_writer, shared_run

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from groundwork.lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_released_and_leaves_nothing(tmp_path):
    for _ in range(2):
        with only_run(tmp_path / "new"):
            pass
    assert list((tmp_path / "new").iterdir()) == []


def test_a_second_process_is_refused_until_the_first_ends_or_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match="another run"), only_run(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with only_run(tmp_path):
        pass


def test_no_lock_on_a_file_system_without_locks_but_other_errors_are_raised(tmp_path, monkeypatch):
    """No file system without locks is available here, so its answer is simulated."""
    fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")
    for number, known in ((errno.ENOLCK, True), (errno.ENOSYS, True), (errno.EIO, False)):

        def refuse(*_, number=number):
            raise OSError(number, "from the file system")

        monkeypatch.setattr(fcntl, "flock", refuse)
        if known:
            with only_run(tmp_path):
                pass
        else:
            with pytest.raises(OSError, match="from the file system"), only_run(tmp_path):
                pass


def test_several_share_a_folder_and_one_that_wants_it_alone_is_kept_out(tmp_path):
    with shared_run(tmp_path):
        with shared_run(tmp_path), pytest.raises(UsageError, match="another run"), only_run(tmp_path):
            pass
        with pytest.raises(UsageError, match="another run"), only_run(tmp_path):  # one of the two is still there
            pass
    with only_run(tmp_path), pytest.raises(UsageError, match="another run"), shared_run(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_whether_a_file_is_being_written(tmp_path):
    path = tmp_path / "a.csv"
    assert not is_being_written(path)
    with only_writer(path, "a.csv"):
        assert is_being_written(path)
    assert not is_being_written(path) and list(tmp_path.iterdir()) == []
