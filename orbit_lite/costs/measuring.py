"""Measures time and peak memory, for `cost`, for the seconds of an evaluation, and for the benchmarks.

The peak covers the work alone, not its preparation. On a CPU it is measured in a new process: the work is prepared
there, freed memory is returned to the system, and the process's peak is reset before the work begins. On CUDA the
allocator's peak is reset.
"""

import ctypes
import gc
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch

from groundwork.errors import DataError

Work = Callable[[], object]
MEGABYTE = 10**6

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def clock_s(device: torch.device) -> float:
    """Seconds by the clock, after the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def seconds_of(work: Work, device: torch.device) -> float:
    """How many seconds some work takes on a device that is otherwise idle."""
    started_s = clock_s(device)
    work()
    return clock_s(device) - started_s


def added_peak_mb(prepare: Callable[[], Work], device: torch.device) -> float | None:
    """Peak memory of some work in megabytes (10^6 bytes), beyond the memory in use after its preparation.

    Args:
        prepare: makes the inputs and returns the work; must be picklable unless the device is a GPU, because it runs in
        a new process.
        device: `cuda` measures the memory allocated there; other devices, the resident memory of a process.

    Returns:
        None if it can't be measured: on systems other than Linux, and if the peak can't be reset and the work needs
        less memory than its preparation did.

    Raises:
        DataError: if the process is killed, which happens if memory runs out.
    """
    if device.type == "cuda":
        return _added_on_cuda(prepare, device) / MEGABYTE
    # spawn: a forked process would start with this process's memory and with locks that its threads hold
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as child:
        try:
            added = child.submit(_added_here, prepare).result()
        except BrokenProcessPool:
            raise DataError("the process that measures memory was killed, probably because memory ran out") from None
    return None if added is None else added / MEGABYTE


def _added_on_cuda(prepare: Callable[[], Work], device: torch.device) -> int:
    work = prepare()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def _added_here(prepare: Callable[[], Work]) -> int | None:
    """Peak bytes that the work adds to this process's memory; None if unknown."""
    work = prepare()
    if not _STATUS.exists():
        return None
    _give_back_freed()
    is_reset = _reset_peak()
    before, held = _peak_and_resident_bytes()
    work()
    after, _ = _peak_and_resident_bytes()
    return after - held if is_reset or after > before else None


def _reset_peak() -> bool:
    """Reset the peak to the memory that is resident now; False if the system does not allow it."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _give_back_freed() -> None:
    """Return freed memory to the system: otherwise the work would reuse it, and the peak would miss that."""
    gc.collect()
    with suppress(AttributeError, OSError):  # only the GNU C library has it
        ctypes.CDLL(None).malloc_trim(0)


def _peak_and_resident_bytes() -> tuple[int, int]:
    """This process's peak resident memory since the last reset, and its resident memory now; Linux only.

    `ru_maxrss` would not do: a new process inherits it from its parent, and it can't be reset.
    """
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    peak, resident = (int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    return peak, resident
