"""Data in use is not removed: use is shared by many, or exclusive to one."""

import os
import subprocess
import sys

import pytest

from groundwork.errors import UsageError
from groundwork.use import exclusive_use, is_use_lock, remove_abandoned_locks, shared_use, use_path


def test_shared_use_keeps_others_from_exclusive_use(tmp_path):
    folder = tmp_path / "P01"
    fault = "P01: another command is using it; nothing was changed"
    with shared_use([folder]), shared_use([folder]), pytest.raises(UsageError, match=fault), exclusive_use([folder]):
        pass
    with exclusive_use([folder]):
        pass


def test_exclusive_use_keeps_others_from_shared_use(tmp_path):
    with exclusive_use([tmp_path / "P01", tmp_path / "P02"]):
        with pytest.raises(UsageError, match="being removed or renamed"), shared_use([tmp_path / "P02"]):
            pass
        with shared_use([tmp_path / "P03"]):
            pass


def test_shared_use_lasts_until_the_last_block_ends(tmp_path):
    folder = tmp_path / "P01"
    with shared_use([folder]):
        with shared_use([folder]):
            pass
        with pytest.raises(UsageError), exclusive_use([folder]):
            pass


def test_lock_files_are_removed(tmp_path):
    with shared_use([tmp_path / "P01"]), shared_use([tmp_path / "P01"]):
        assert [path for path in tmp_path.iterdir() if is_use_lock(path.name)] == [use_path(tmp_path / "P01")]
    with exclusive_use([tmp_path / "P01"]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_different_paths_to_one_folder_share_one_lock(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with shared_use([tmp_path / "link"]), pytest.raises(UsageError), exclusive_use([tmp_path / "real" / "."]):
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    program = (
        "import os, sys; from groundwork.use import shared_use; "
        "used = shared_use([sys.argv[1]]); used.__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "P01")], check=False, env={**os.environ}, timeout=60)
    assert use_path(tmp_path / "P01").exists()
    with exclusive_use([tmp_path / "P01"]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_abandoned_locks_are_removed_and_held_ones_stay(tmp_path):
    use_path(tmp_path / "P01").touch()
    with shared_use([tmp_path / "P02"]):
        remove_abandoned_locks(tmp_path)
        assert list(tmp_path.iterdir()) == [use_path(tmp_path / "P02")]
    assert "P02" not in use_path(tmp_path / "P02").name
    remove_abandoned_locks(tmp_path / "none")


def test_nothing_is_held_where_no_lock_file_can_be_made(tmp_path):
    """As in a folder that does not exist, or on a read-only disk."""
    with shared_use([tmp_path / "none" / "P01"]), exclusive_use([tmp_path / "none" / "P01", "/"]):
        assert not (tmp_path / "none").exists()
