"""Several processes at one run, as torchrun starts them: who am I, and what do all of us have together.

    torchrun --nproc-per-node=4 -m orbit_lite train …

Started alone, there is one rank and everything here is the identity.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from groundwork.errors import DataError, KitError, UsageError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ranks:
    """This process's number of `count`, and the device that it computes on."""

    device: torch.device
    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.number == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of some work: dealt like cards, so that parts differ in length by one at most."""
        return items[self.number :: self.count]

    def machine(self, *, workers: int, engine: str) -> dict[str, Any]:
        """What the run is computed on, for its record; all but the workers can change the rounding.

        engine: what runs the extractor where no gradient is asked for.
        """
        if self.device.type == "cuda":
            kind = torch.cuda.get_device_name(self.device)
        else:
            kind = torch.backends.cpu.get_cpu_capability()  # which of PyTorch's kernels it runs
        return {
            "device": f"{self.device.type} ({kind})",
            "engine": engine,
            "threads": torch.get_num_threads(),
            "ranks": self.count,
            "workers": workers,
        }

    @contextmanager
    def by_first(self, held: AbstractContextManager[Item]) -> Iterator[Item | None]:
        """Enter `held` on the first rank, and hold it while the block runs; the others get None, and wait for that.

        Raises:
            KitError, OSError: on every rank, if it can't be entered.
        """
        with ExitStack() as stack:
            yield self._first_alone(lambda: stack.enter_context(held))

    def after_first(self, work: Callable[[], Item]) -> Item:
        """Let the first rank do some work, and then the others, who find what it has left on the disk.

        Raises:
            KitError, OSError: on every rank, if the first can't do it.
        """
        found = self._first_alone(work)
        return work() if found is None else found

    def _first_alone(self, work: Callable[[], Item]) -> Item | None:
        """None on the others. What the first raises is raised on all: or they would wait for one that is gone."""
        found: Item | None = None
        refused: Exception | None = None
        if self.first:
            try:
                found = work()
            except (KitError, OSError) as error:
                refused = error
        for met in filter(None, self.gather(refused)):
            raise met
        return found

    def sum_gradients(self, model: nn.Module) -> None:
        """Let every rank's `.grad` be the sum over ranks. A rank that had no task in a short step adds nothing."""
        if self.count == 1:
            return
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        with _needing_all():
            dist.all_reduce(together)
        for parameter, part in zip(learning, together.split([p.numel() for p in learning]), strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Until all ranks are here."""
        self.sum([0.0])

    def sum(self, values: Iterable[float]) -> list[float]:
        """The sum over ranks of each value, in float64."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, value: float) -> float:
        """The largest value that a rank has."""
        return self._reduced([value], dist.ReduceOp.MAX)[0]

    def gather(self, part: Item) -> list[Item]:
        """Every rank's part, in the order of the ranks, on every rank."""
        if self.count == 1:
            return [part]
        parts: list[Any] = [None] * self.count
        with _needing_all():
            dist.all_gather_object(parts, part)
        return parts

    def _reduced(self, values: Iterable[float], how: "dist.ReduceOp.RedOpType") -> list[float]:
        together = torch.tensor(list(values), dtype=torch.float64)
        if self.count > 1:
            together = together.to(self.device if dist.get_backend() == "nccl" else "cpu")
            with _needing_all():
                dist.all_reduce(together, op=how)
        found: list[float] = together.tolist()
        return found


def undealt(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Put together what `share` dealt: the items in their first order."""
    together: list[Item] = []
    for place in range(max(map(len, parts), default=0)):
        together += [part[place] for part in parts if place < len(part)]
    return together


@contextmanager
def _needing_all() -> Iterator[None]:
    """All ranks meet here. One that has ended with an error of its own has said why; the others must not end in a
    traceback for it."""
    try:
        yield
    except RuntimeError as error:  # gloo's, and NCCL's DistBackendError is one
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"another rank has ended, and has said why; this one can't go on alone ({reason})") from None


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """The ranks that torchrun has started, while the block runs; one alone where it has not.

    Args:
        device: what this process was asked to compute on; of several GPUs each rank takes its own.

    Raises:
        UsageError: if there are more ranks on this machine than GPUs to compute on.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UsageError(f"rank {local} of this machine has no GPU: {torch.cuda.device_count()} for all ranks")
        device = torch.device("cuda", local)
    with ExitStack() as stack:
        if device.type == "cuda" and device.index is not None:
            stack.enter_context(torch.cuda.device(device))  # or pinning memory would take up the first GPU, too
        if count == 1:
            yield Ranks(device)
            return
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        stack.callback(dist.destroy_process_group)
        yield Ranks(device, dist.get_rank(), count)
