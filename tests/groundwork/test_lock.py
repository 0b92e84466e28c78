import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.errors import UsageError
from groundwork.lock import only_run

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


def test_it_is_given_back_and_leaves_nothing(tmp_path):
    for _ in range(2):
        with only_run(tmp_path / "new"):
            pass
    assert list((tmp_path / "new").iterdir()) == []


def test_another_process_is_refused_until_the_first_is_gone_however_it_went(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match="another run"), only_run(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with only_run(tmp_path):
        pass


def test_a_disk_without_locks_is_not_locked_and_no_other_error_is_passed_over(tmp_path, monkeypatch):
    """A file system that has none can't be had here: its answer stands in for it."""
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
