"""A really full disk: a small separate file system, or a limit on the size of a file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.making.pack import pack
from data_prep.tree.index import build_index

ROOT = Path(__file__).parents[3]
FRAMES, FRAME_BYTES = 8, 50_000
PART_OF_ONE_USER = FRAMES * FRAME_BYTES // 2

# In a separate mount namespace: the mount ends with the shell, and no other process sees it.
ON_A_SMALL_DISK = f"""
mount -t tmpfs -o size={3 * PART_OF_ONE_USER} none "$1" || exit 77
shift
"$@"
status=$?
find "$OUT"
exit $status
"""


@pytest.fixture
def tree(tmp_path):
    """Frames of two users."""
    for user in ("ann", "bob"):
        folder = tmp_path / f"tree/{user}/cup/clean/{user}--cup--clean--a"
        folder.mkdir(parents=True)
        for k in range(1, FRAMES + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(bytes([k]) * FRAME_BYTES)
    build_index(tmp_path / "tree")
    return tmp_path / "tree"


def command(*arguments):
    return [sys.executable, "-m", "orbit_lite", "prep", "pack", *map(str, arguments)]


def messages(stderr):
    """The lines on stderr other than progress."""
    return [line for line in stderr.splitlines() if not line.startswith(("videos: ", "index: "))]


@pytest.mark.parametrize("way", ["pack", "unpack"])
def test_a_full_disk_gives_one_line_and_leaves_no_partial_file(tree, tmp_path, way):
    if not shutil.which("unshare"):
        pytest.skip("no unshare: can't mount a small disk")
    disk, out = tmp_path / "disk", tmp_path / "disk/out"
    disk.mkdir()
    if way == "unpack":
        pack(tree, tmp_path / "packed")
    verb = command(tree, out) if way == "pack" else command("--unpack", tmp_path / "packed", out)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", str(disk), *verb],
        cwd=ROOT,
        env=os.environ | {"OUT": str(out)},
        capture_output=True,
        text=True,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"can't mount a small disk here: {done.stderr.strip()}")
    (line,) = messages(done.stderr)
    assert done.returncode == 1
    assert line.startswith("orbit-lite: No space left on device: ") and str(out) in line
    assert "run the same command again" in line
    assert "ann" in done.stdout and ".part" not in done.stdout


def test_a_file_size_limit_gives_one_line_and_the_same_command_resumes(tree, tmp_path):
    resource = pytest.importorskip("resource")
    verb = command(tree, tmp_path / "out")
    limited = subprocess.run(
        verb,
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (PART_OF_ONE_USER, PART_OF_ONE_USER)),
    )
    (line,) = messages(limited.stderr)
    assert limited.returncode == 1
    assert line == f"orbit-lite: File too large: {tmp_path / 'out/ann.zip'}"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    again = subprocess.run(verb, cwd=ROOT, capture_output=True, text=True)
    assert (again.returncode, messages(again.stderr)) == (0, [])
