"""The clock is read after the device is done; the peak memory is that of the work, without its preparation."""

import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from groundwork.errors import DataError
from orbit_lite.costs import measuring
from orbit_lite.costs.measuring import Work, added_peak_mb, clock_s, seconds_of

CPU = torch.device("cpu")
MB = 10**6
SMALL = 50_000  # bytes; the allocator keeps freed pieces of this size, but returns blocks of megabytes at once
ROOM_MB = 12
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="peaks are known on Linux alone")


def fill(megabytes: int, piece: int) -> list[bytes]:
    return [b"x" * piece for _ in range(megabytes * MB // piece)]


class Takes:
    """Uses some megabytes to prepare, keeps the last piece, and uses others to work."""

    def __init__(self, prepare_mb: int, work_mb: int, piece: int) -> None:
        self.prepare_mb, self.work_mb, self.piece = prepare_mb, work_mb, piece

    def __call__(self) -> Work:
        held = fill(self.prepare_mb, self.piece)[-1:]  # at the end of the heap, so the allocator can't shrink it
        return lambda: (fill(self.work_mb, self.piece), held)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_clock_is_read_when_the_device_is_done(monkeypatch, kind):
    done = []
    monkeypatch.setattr(torch.cuda, "synchronize", done.append)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: done.append(torch.device("mps")))
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: done.append("read") or 0.0)
    clock_s(torch.device(kind))
    assert done == [torch.device(kind), "read"]


def test_seconds_are_of_the_work(monkeypatch):
    now_s = [7.0]

    def work():
        now_s[0] += 2.5

    monkeypatch.setattr(measuring, "clock_s", lambda _: now_s[0])
    assert seconds_of(work, CPU) == 2.5


@LINUX
@pytest.mark.usefixtures("spawned")
@pytest.mark.parametrize("piece", [SMALL, 20 * MB])
def test_work_that_needs_less_than_its_preparation_did_is_seen(piece):
    added = added_peak_mb(Takes(200, 60, piece), CPU)
    assert added is not None
    assert 60 - ROOM_MB < added < 60 + ROOM_MB
    assert added_peak_mb(Takes(200, 0, piece), CPU) == pytest.approx(0, abs=ROOM_MB)


def in_a_process_that_may_not_reset(prepare: Work) -> int | None:
    measuring._RESET = Path("/")  # writing to a folder fails
    return measuring._added_here(prepare)


@LINUX
@pytest.mark.usefixtures("spawned")
def test_where_the_peak_cannot_be_reset_it_is_known_only_beyond_preparing():
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as child:
        added = child.submit(in_a_process_that_may_not_reset, Takes(0, 300, 20 * MB)).result()
        assert added is not None
        assert 300 - ROOM_MB < added / MB < 300 + ROOM_MB
        assert child.submit(in_a_process_that_may_not_reset, Takes(0, 60, 20 * MB)).result() is None


def test_other_systems_can_not_measure_it(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "_STATUS", tmp_path / "status")
    assert measuring._added_here(Takes(1, 1, SMALL)) is None


def test_a_killed_process_is_one_line():
    with pytest.raises(DataError, match="the process that measures memory was killed, probably"):
        added_peak_mb(partial(signal.raise_signal, signal.SIGKILL), CPU)


@pytest.mark.gpu
def test_on_a_gpu_it_is_what_is_allocated_there():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cuda = torch.device("cuda")

    def prepare() -> Work:
        torch.ones(200 * MB, dtype=torch.uint8, device=cuda)
        held = torch.ones(50 * MB, dtype=torch.uint8, device=cuda)
        return lambda: (torch.ones(60 * MB, dtype=torch.uint8, device=cuda), held)

    assert added_peak_mb(prepare, cuda) == pytest.approx(60, abs=2)
