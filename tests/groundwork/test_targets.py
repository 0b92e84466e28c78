"""Writing to real links, pipes, devices and open descriptors."""

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from groundwork.files import whole_file, write_bytes, write_json, write_text
from groundwork.targets import STDOUT, Target, links_not_followed, target

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other devices")


@pytest.fixture
def fifo(tmp_path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


class Reader(threading.Thread):
    """Reads a pipe to its end in a thread, while this process writes to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self.start()

    def run(self) -> None:
        self._content = self._path.read_bytes()

    def content(self) -> bytes:
        self.join(300)
        assert not self.is_alive()
        return self._content


def test_a_link_stays_and_the_file_it_points_to_is_replaced(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    end, link, second = tmp_path / "there/end.txt", tmp_path / "here/link.txt", tmp_path / "here/second.txt"
    end.write_text("old")
    end.chmod(0o640)
    link.symlink_to("../there/end.txt")
    second.symlink_to("link.txt")
    held = end.open()
    with whole_file(second) as file:
        file.write(b"new")
        file.flush()
        assert [path.name for path in (tmp_path / "there").iterdir() if path != end] == [".end.txt.part"]
        assert end.read_text() == "old"
    assert (link.is_symlink(), second.is_symlink(), end.is_symlink()) == (True, True, False)
    assert end.read_text() == "new" and held.read() == "old"  # replaced, not overwritten
    assert stat.S_IMODE(end.stat().st_mode) == 0o640
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["link.txt", "second.txt"]
    held.close()


def test_writing_to_a_broken_link_creates_the_file_it_points_to(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("new/end")
    write_bytes(link, b"x")
    assert link.is_symlink() and (tmp_path / "new/end").read_bytes() == b"x"


def test_a_circle_of_links_is_an_error_and_is_left(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for write in (lambda: write_bytes(tmp_path / "a", b"x"), lambda: write_json(tmp_path / "a", 1)):
        with pytest.raises(OSError) as caught:
            write()
        assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "a").is_symlink() and (tmp_path / "b").is_symlink()


@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_gets_the_content_and_stays(fifo, tmp_path, by_link):
    path = fifo
    if by_link:
        path = tmp_path / "link"
        path.symlink_to(fifo)
    reader = Reader(fifo)
    write_bytes(path, b"a few bytes")
    assert reader.content() == b"a few bytes"
    reader = Reader(fifo)
    with whole_file(path) as file:  # seeks back, and is longer than a pipe's buffer
        file.write(b"?" * 3)
        file.write(bytes(3_000_000))
        file.seek(0)
        file.write(b"abc")
    assert reader.content() == b"abc" + bytes(3_000_000)
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"pipe", "link"}


def test_a_pipe_gets_nothing_from_a_failed_write(fifo):
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(RuntimeError), whole_file(fifo) as file:
        file.write(b"half of the f")
        raise RuntimeError
    assert os.read(end, 100) == b""
    os.close(end)


def test_the_error_names_the_pipe_if_its_reader_is_gone(fifo):
    reading = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)))
    reading.start()
    with pytest.raises(BrokenPipeError) as caught, whole_file(fifo) as file:
        file.write(bytes(1_000_000))
    assert caught.value.filename == str(fifo)
    reading.join()


def full_device(tmp_path: Path) -> Path:
    """/dev/full, or for root a copy of it: a bug could replace the system's device by a file."""
    if os.geteuid() != 0:
        return Path("/dev/full")
    try:
        os.mknod(tmp_path / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
        (tmp_path / "full").open("wb").close()
    except OSError as error:
        pytest.skip(f"no device can be created here: {error}")
    return tmp_path / "full"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full")
def test_the_error_names_a_full_device_which_stays_a_device(tmp_path):
    device = full_device(tmp_path)
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        with pytest.raises(OSError) as caught:
            write_bytes(path, b"x")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        with pytest.raises(OSError) as caught, whole_file(path) as file:
            file.write(b"x")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert stat.S_ISCHR(device.lstat().st_mode)


def test_standard_output_is_written_after_what_was_printed(tmp_path, capfd):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "fd").symlink_to("/dev/fd")
    names = [STDOUT, Path("/dev/fd/1"), Path(f"/proc/{os.getpid()}/fd/1"), tmp_path / "link", tmp_path / "fd/1"]
    for number, path in enumerate(names):
        if str(path).startswith("/proc") and not Path("/proc").is_dir():
            continue
        assert target(path).descriptor == 1, path
        print("printed", end=" ")
        write_bytes(path, f"written {number}\n".encode())
    assert capfd.readouterr().out.splitlines()[:2] == ["printed written 0", "printed written 1"]
    assert target(Path("/dev/stderr")).descriptor == 2


def test_an_open_descriptor_is_written_to_and_not_replaced(tmp_path):
    with (tmp_path / "a").open("wb", buffering=0) as file:
        file.write(b"before ")
        write_bytes(Path(f"/dev/fd/{file.fileno()}"), b"within ")
        file.write(b"after")
    assert (tmp_path / "a").read_bytes() == b"before within after"


def test_any_other_path_is_its_own_target(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path, tmp_path / "nothing", tmp_path / "file/below", tmp_path / "no/folder"):
        assert target(path) == Target(path)
    assert target(Path(os.devnull)) == Target(Path(os.devnull), stream=True)


def test_links_not_followed_replaces_the_link_itself(tmp_path):
    away, link = tmp_path / "away.txt", tmp_path / "link.txt"
    away.write_text("theirs")
    link.symlink_to(away)
    with links_not_followed():
        write_text(link, "ours")
    assert (away.read_text(), link.read_text(), link.is_symlink()) == ("theirs", "ours", False)
