"""What a recogniser costs: multiply-accumulates, parameters, seconds and memory. Measured here, apart from the work:
nothing in personalising or predicting counts or times itself.
"""

import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundwork.errors import FoundWrong
from orbit_lite.costs.macs import frame_macs, personalize_macs
from orbit_lite.costs.seconds import clock_s, device_name
from orbit_lite.models.counting import PartMacs, total
from orbit_lite.models.recognizer import Recognizer

Load = Callable[[], Recognizer]
MEGABYTE = 10**6


@dataclass(frozen=True)
class TaskSize:
    """A task to count and measure on: `way` objects, `support` frames in all."""

    way: int = 10
    support: int = 100


@dataclass(frozen=True)
class PartSize:
    """Parameters of one part: those that meta-training changes, and those it leaves as they are."""

    part: str
    learned: int
    frozen: int


@dataclass(frozen=True)
class Measured:
    """Seconds (medians), and the megabytes that personalising adds at its peak to a process, or a device, that holds
    weights and images already; None where the system does not tell."""

    device: str
    threads: int
    repeats: int
    personalize_s: float
    frame_s: float
    peak_memory_mb: float | None


@dataclass(frozen=True)
class Cost:
    """One recogniser on one size of task. `measured` is None if it was only counted."""

    learner: str
    backbone: str
    frame_size_px: int
    task: TaskSize
    personalize_macs: tuple[PartMacs, ...]
    frame_macs: tuple[PartMacs, ...]
    parameters: tuple[PartSize, ...]
    measured: Measured | None

    def content(self) -> dict[str, Any]:
        """For JSON: the fields, and the totals."""
        totals = {
            "macs_to_personalize": total(self.personalize_macs).ours,
            "macs_to_personalize_leaderboard": total(self.personalize_macs).leaderboard,
            "macs_a_frame": total(self.frame_macs).ours,
            "parameters_in_all": sum(part.learned + part.frozen for part in self.parameters),
        }
        return totals | asdict(self)


def cost(load: Load, task: TaskSize = TaskSize(), *, device: torch.device, repeats: int = 3) -> Cost:
    """Count, and measure on `device`.

    Args:
        load: gives the recogniser; picklable, for memory on a CPU is measured in a process of its own.
        task: what to personalise to; its frames are noise, which costs as much as pictures.
        device: where to measure. The counts do not depend on it.
        repeats: timed runs, each of personalising and of one frame; 0 only counts.

    Raises:
        AskedWrong: if the task has fewer support frames than objects.
        FoundWrong: if the process that measures memory is killed, as it is where memory runs out.
    """
    recognizer = load()
    return Cost(
        learner=recognizer.learner.name if recognizer.learner else "",
        backbone=recognizer.extractor.backbone.name,
        frame_size_px=recognizer.extractor.frame_size_px,
        task=task,
        personalize_macs=tuple(personalize_macs(recognizer, way=task.way, support=task.support)),
        frame_macs=tuple(frame_macs(recognizer, way=task.way)),
        parameters=tuple(part_sizes(recognizer)),
        measured=_measure(recognizer.to(device), load, task, repeats) if repeats else None,
    )


def part_sizes(recognizer: Recognizer) -> list[PartSize]:
    """Parameters by part. What is fitted to each user (class means, a linear head) is none of them."""
    parts = {"extractor": list(recognizer.extractor.parameters())}
    parts |= {name: list(part.parameters()) for name, part in recognizer.adapter.parts().items()}
    parts["head"] = [value for name, value in recognizer.named_parameters() if name.startswith("head.")]
    sizes = []
    for name, parameters in parts.items():
        learned = sum(value.numel() for value in parameters if value.requires_grad)
        sizes.append(PartSize(name, learned, sum(value.numel() for value in parameters) - learned))
    return sizes


def cost_text(cost: Cost) -> str:
    """The cost as plain text."""
    task = f"{cost.task.way} objects, {cost.task.support} support frames of {cost.frame_size_px} px"
    lines = [f"{cost.learner} on {cost.backbone}, {task}", ""]
    for title, parts in (("MACs to personalise", cost.personalize_macs), ("MACs a query frame", cost.frame_macs)):
        rows = [total(parts), *parts] if len(parts) > 1 else parts
        counts = [(part.part, f"{part.ours:,}", f"{part.leaderboard:,}") for part in rows]
        lines += [*_table((title, "our count", "leaderboard's (thop's rules)"), counts), ""]
    sizes = [(part.part, f"{part.learned:,}", f"{part.frozen:,}") for part in cost.parameters]
    lines += [*_table(("Parameters", "learned", "frozen"), sizes), ""]
    if cost.measured:
        by = cost.measured
        times = "once" if by.repeats == 1 else f"median of {by.repeats}"
        memory = "not told by this system" if by.peak_memory_mb is None else f"{by.peak_memory_mb:,.0f} MB"
        lines += [
            f"Measured on {by.device}, {by.threads} CPU thread{'s' if by.threads > 1 else ''}, {times}",
            f"seconds to personalise      {by.personalize_s:.4g}",
            f"seconds for a query frame   {by.frame_s:.4g}",
            f"peak memory to personalise  {memory}, beside weights and images",
            "",
        ]
    return "\n".join(lines)


def _table(head: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> list[str]:
    first = max(len(row[0]) for row in (head, *rows))
    return [f"{name:<{first}}  {one:>22}  {other:>28}".rstrip() for name, one, other in (head, *rows)]


def _measure(recognizer: Recognizer, load: Load, task: TaskSize, repeats: int) -> Measured:
    images, labels = _noise(recognizer, task)
    # a small task first, untimed: the first run of all also loads libraries and chooses kernels
    fitted = recognizer.personalize(images[: task.way], labels[: task.way])
    fitted.logits(images[:1])
    cuda = recognizer.device.type == "cuda"
    return Measured(
        device=device_name(recognizer.device),
        threads=torch.get_num_threads(),
        repeats=repeats,
        personalize_s=_median_s(lambda: recognizer.personalize(images, labels), recognizer.device, repeats),
        frame_s=_median_s(lambda: fitted.logits(images[:1]), recognizer.device, repeats),
        peak_memory_mb=_peak_on_cuda_mb(recognizer, task) if cuda else _peak_on_cpu_mb(load, task),
    )


def _noise(recognizer: Recognizer, task: TaskSize) -> tuple[Tensor, Tensor]:
    size_px = recognizer.extractor.frame_size_px
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (task.support, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    return images, torch.arange(task.support) % task.way


def _median_s(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started_s = clock_s(device)
        work()
        seconds.append(clock_s(device) - started_s)
    return statistics.median(seconds)


def _peak_on_cuda_mb(recognizer: Recognizer, task: TaskSize) -> float:
    images, labels = _noise(recognizer, task)
    torch.cuda.reset_peak_memory_stats(recognizer.device)
    before = torch.cuda.memory_allocated(recognizer.device)
    recognizer.personalize(images, labels)
    return (torch.cuda.max_memory_allocated(recognizer.device) - before) / MEGABYTE


def _peak_on_cpu_mb(load: Load, task: TaskSize) -> float | None:
    # spawn: a forked child would begin with this process's memory
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as child:
        try:
            return child.submit(_added_peak_mb, load, task, torch.get_num_threads()).result()
        except BrokenProcessPool:
            raise FoundWrong("the process that measured memory was killed, most likely for want of it") from None


def _added_peak_mb(load: Load, task: TaskSize, threads: int) -> float | None:
    torch.set_num_threads(threads)
    recognizer = load()
    images, labels = _noise(recognizer, task)
    recognizer.embed(images[:1])
    _forget_peak()
    before = _peak_bytes()
    recognizer.personalize(images, labels)
    after = _peak_bytes()
    return None if before is None or after is None else (after - before) / MEGABYTE


def _forget_peak() -> None:
    """Begin the peak anew, so that loading the weights does not hide what comes; Linux only, where it may be done."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int | None:
    """This process's highest resident memory; None where it can't be had."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: a new process takes that over from the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
