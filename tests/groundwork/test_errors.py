import errno

import pytest

from groundwork.errors import (
    DataError,
    KitError,
    UsageError,
    is_shortage,
    memory_line,
    raise_shortage,
    system_line,
)


def test_exit_codes():
    assert (DataError.exit_code, UsageError.exit_code) == (1, 2)
    assert issubclass(DataError, KitError)
    assert issubclass(UsageError, KitError)


def test_too_many_open_files_is_not_blamed_on_the_file():
    error = OSError(errno.EMFILE, "Too many open files", "v.mp4")
    assert system_line(error) == (
        "Too many open files: v.mp4. Raise the limit (ulimit -n) or take fewer --workers, then run the same command"
        " again"
    )
    for short in (error, MemoryError(), OSError(errno.ENOSPC, "No space left on device")):
        assert is_shortage(short)
    with pytest.raises(OSError, match=r"Too many open files: 'v\.mp4'"):
        raise_shortage(error, "v.mp4")
    raise_shortage(OSError(errno.ENOMEM, "Cannot allocate memory"), "v.mp4")  # a damaged file may ask for any amount
    for other in (ValueError("x"), OSError(errno.EIO, "x"), None):
        assert not is_shortage(other)
    raise_shortage(ValueError("x"), "v.mp4")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_one_line_if_memory_runs_out(error):
    assert memory_line(error).startswith("not enough memory; ")


def test_other_errors_do_not_count_as_lack_of_memory():
    assert not any(map(memory_line, (DataError("out of memory"), ValueError("out of memory"), RuntimeError("x"))))
