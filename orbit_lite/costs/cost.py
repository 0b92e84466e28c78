"""What a recognizer costs: multiply-accumulates, parameters, seconds and memory. All counting and timing is done here;
the code that personalizes and predicts contains none."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from groundwork.pages.cells import grouped
from groundwork.pages.printing import text_table
from groundwork.pages.table import Column, Table
from groundwork.words import counted
from orbit_lite.costs.macs import frame_macs, personalize_macs
from orbit_lite.costs.measuring import Work, added_peak_mb, seconds_of
from orbit_lite.costs.seconds import device_name
from orbit_lite.models.counting import PartMacs, total
from orbit_lite.models.recognizer import Recognizer

Load = Callable[[], Recognizer]


@dataclass(frozen=True)
class TaskSize:
    """The task to count and measure on: `way` objects and `support` frames in total."""

    way: int = 10
    support: int = 100


@dataclass(frozen=True)
class PartSize:
    """Parameters of one part: those that meta-training changes, and those that it keeps fixed."""

    part: str
    learned: int
    frozen: int


@dataclass(frozen=True)
class Measurements:
    """Median seconds, and the peak megabytes that personalizing adds to a process or GPU that already holds weights and
    images; None if the memory can't be measured."""

    device: str
    threads: int
    repeats: int
    personalize_s: float
    frame_s: float
    peak_memory_mb: float | None


@dataclass(frozen=True)
class Cost:
    """The cost of one recognizer on one size of task. `measured` is None if nothing was measured."""

    learner: str
    backbone: str
    frame_size_px: int
    task: TaskSize
    personalize_macs: tuple[PartMacs, ...]
    frame_macs: tuple[PartMacs, ...]
    parameters: tuple[PartSize, ...]
    measured: Measurements | None

    def content(self) -> dict[str, Any]:
        """The fields and the totals, ready for JSON."""
        totals = {
            "macs_to_personalize": total(self.personalize_macs).ours,
            "macs_to_personalize_leaderboard": total(self.personalize_macs).leaderboard,
            "macs_a_frame": total(self.frame_macs).ours,
            "parameters_in_all": sum(part.learned + part.frozen for part in self.parameters),
        }
        return totals | asdict(self)


def cost(load: Load, task: TaskSize = TaskSize(), *, device: torch.device, repeats: int = 3) -> Cost:
    """Count the operations and parameters, and measure seconds and memory on `device`.

    Args:
        load: returns the recognizer; must be picklable, because memory on a CPU is measured in a separate process.
        task: the task to personalize to; its frames are noise, which costs as much as real images.
        device: where to measure. The counts do not depend on it.
        repeats: how often personalizing and one frame are timed; 0 only counts.

    Raises:
        UsageError: if the task has fewer support frames than objects.
        DataError: if the process that measures memory is killed, which happens if memory runs out.
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
    """Parameters by part, without those that are fitted for each user (class means, a linear head)."""
    parts = {"extractor": list(recognizer.extractor.parameters())}
    parts |= {name: list(part.parameters()) for name, part in recognizer.adapter.parts().items()}
    parts["head"] = [value for name, value in recognizer.named_parameters() if name.startswith("head.")]
    sizes = []
    for name, parameters in parts.items():
        learned = sum(value.numel() for value in parameters if value.requires_grad)
        sizes.append(PartSize(name, learned, sum(value.numel() for value in parameters) - learned))
    return sizes


def cost_text(cost: Cost, *, width: int | None = None) -> str:
    """The cost as plain text that ends with a newline, wrapped to `width` characters if given."""
    task = f"{cost.task.way} objects, {cost.task.support} support frames of {cost.frame_size_px} px"
    tables = [
        _macs_table("MACs to personalize", cost.personalize_macs),
        _macs_table("MACs per query frame", cost.frame_macs),
        _sizes_table(cost.parameters),
        *([_measured_table(cost.measured)] if cost.measured else []),
    ]
    title = f"{cost.learner} on {cost.backbone}, {task}"
    return "\n\n".join([title, *(text_table(table, width=width) for table in tables)]) + "\n"


def _macs_table(caption: str, parts: Sequence[PartMacs]) -> Table:
    rows = [total(parts), *parts] if len(parts) > 1 else parts
    columns = ("part", Column("kit's count", grouped), Column("leaderboard's (thop's rules)", grouped))
    return Table(caption, columns, tuple((part.part, part.ours, part.leaderboard) for part in rows))


def _sizes_table(parts: Sequence[PartSize]) -> Table:
    columns = ("part", Column("learned", grouped), Column("frozen", grouped))
    return Table("Parameters", columns, tuple((part.part, part.learned, part.frozen) for part in parts))


def _measured_table(by: Measurements) -> Table:
    times = "once" if by.repeats == 1 else f"median of {by.repeats}"
    memory = "not known on this system" if by.peak_memory_mb is None else f"{by.peak_memory_mb:,.0f} MB"
    rows = (
        ("seconds to personalize", f"{by.personalize_s:.4g}"),
        ("seconds for a query frame", f"{by.frame_s:.4g}"),
        ("peak memory to personalize, without weights and images", memory),
    )
    caption = f"Measured on {by.device}, {counted(by.threads, 'CPU thread')}, {times}"
    return Table(caption, ("what", Column("measured", side="right")), rows)


def _measure(recognizer: Recognizer, load: Load, task: TaskSize, repeats: int) -> Measurements:
    device, (images, labels) = recognizer.device, _noise(recognizer, task)
    # run a small task first, untimed: the very first run also loads libraries and chooses kernels
    fitted = recognizer.personalize(images[: task.way], labels[: task.way])
    fitted.logits(images[:1])
    there = partial(_personalizing, recognizer, task)
    in_a_new_process = partial(_loaded_and_warm, load, task, torch.get_num_threads())
    return Measurements(
        device=device_name(device),
        threads=torch.get_num_threads(),
        repeats=repeats,
        personalize_s=_median_s(lambda: recognizer.personalize(images, labels), device, repeats),
        frame_s=_median_s(lambda: fitted.logits(images[:1]), device, repeats),
        peak_memory_mb=added_peak_mb(there if device.type == "cuda" else in_a_new_process, device),
    )


def _noise(recognizer: Recognizer, task: TaskSize) -> tuple[Tensor, Tensor]:
    size_px = recognizer.extractor.frame_size_px
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (task.support, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    return images, torch.arange(task.support) % task.way


def _median_s(work: Work, device: torch.device, repeats: int) -> float:
    return statistics.median(seconds_of(work, device) for _ in range(repeats))


def _personalizing(recognizer: Recognizer, task: TaskSize) -> Work:
    return partial(recognizer.personalize, *_noise(recognizer, task))


def _loaded_and_warm(load: Load, task: TaskSize, threads: int) -> Work:
    torch.set_num_threads(threads)
    recognizer = load()
    recognizer.embed(_noise(recognizer, task)[0][:1])  # so that loading libraries is not counted
    return _personalizing(recognizer, task)
