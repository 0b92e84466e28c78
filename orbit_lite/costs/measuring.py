"""One clock and one peak of memory, for `cost`, for the seconds of an evaluation, and for the benchmarks.

The peak is of the work alone. On a CPU it is measured in a process of its own: the work is prepared there, memory that
preparing took and freed is given back to the system, and the process's peak is reset before the work begins. On CUDA
the allocator's own peak is reset.
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
    """Seconds by the clock, when all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def seconds_of(work: Work, device: torch.device) -> float:
    """How long some work takes on a device, which has nothing else to do."""
    started_s = clock_s(device)
    work()
    return clock_s(device) - started_s


def added_peak_mb(prepare: Callable[[], Work], device: torch.device) -> float | None:
    """Megabytes (10^6 bytes) that some work adds at its peak to what was there when it had been prepared.

    Args:
        prepare: makes the inputs, and returns the work; picklable unless the device is a GPU, for it runs in a new
            process.
        device: `cuda` for the memory allocated there; else the resident memory of a process.

    Returns:
        None where that can't be known: on systems other than Linux; and where the peak can't be reset, if the work
        needs less than its preparation did.

    Raises:
        DataError: if the process is killed, as it is where memory runs out.
    """
    if device.type == "cuda":
        return _added_on_cuda(prepare, device) / MEGABYTE
    # spawn: a forked process would begin with this one's memory, and with locks that its threads hold
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as child:
        try:
            added = child.submit(_added_here, prepare).result()
        except BrokenProcessPool:
            raise DataError("a measured process was killed, most likely for want of memory") from None
    return None if added is None else added / MEGABYTE


def _added_on_cuda(prepare: Callable[[], Work], device: torch.device) -> int:
    work = prepare()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return torch.cuda.max_memory_allocated(device) - before


def _added_here(prepare: Callable[[], Work]) -> int | None:
    """Bytes that the work adds to this process's memory."""
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
    """Let the peak begin at what is resident now; False where the system does not allow it."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _give_back_freed() -> None:
    """Let the system have what is freed but kept for later; the work would take it from there, unseen."""
    gc.collect()
    with suppress(AttributeError, OSError):  # the GNU C library alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _peak_and_resident_bytes() -> tuple[int, int]:
    """This process's highest resident memory since it was reset, and what it has now; Linux only.

    Not `ru_maxrss`: a new process takes that over from the one that started it, and it can't be reset.
    """
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    peak, resident = (int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
    return peak, resident
