"""Several processes in one run, as started by torchrun: the rank of each, and operations across all ranks.

    torchrun --nproc-per-node=4 -m orbit_lite train …

Without torchrun there is one rank, and all operations here are the identity.
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
    """This process's rank, the number of ranks, and the device that it computes on."""

    device: torch.device
    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.number == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of some work, dealt in turn, so that the lengths of the parts differ by at most one."""
        return items[self.number :: self.count]

    def machine(self, *, workers: int, engine: str) -> dict[str, Any]:
        """The machine, for the run's record; everything except the workers can change the rounding.

        engine: the engine that runs the extractor when no gradient is needed.
        """
        if self.device.type == "cuda":
            kind = torch.cuda.get_device_name(self.device)
        else:
            kind = torch.backends.cpu.get_cpu_capability()  # decides which of PyTorch's kernels run
        return {
            "device": f"{self.device.type} ({kind})",
            "engine": engine,
            "threads": torch.get_num_threads(),
            "ranks": self.count,
            "workers": workers,
        }

    @contextmanager
    def on_first(self, held: AbstractContextManager[Item]) -> Iterator[Item | None]:
        """Enter `held` on the first rank while the block runs; the other ranks wait for that and get None.

        Raises:
            KitError, OSError: on every rank, if it can't be entered.
        """
        with ExitStack() as stack:
            yield self._first_alone(lambda: stack.enter_context(held))

    def after_first(self, work: Callable[[], Item]) -> Item:
        """Do some work on the first rank, then on the others, which find its result on disk.

        Raises:
            KitError, OSError: on every rank, if the first can't do it.
        """
        found = self._first_alone(work)
        return work() if found is None else found

    def _first_alone(self, work: Callable[[], Item]) -> Item | None:
        """The result on the first rank, None on the others. Its errors are raised on all, or the others would wait
        forever."""
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
        """Replace every rank's `.grad` by the sum over ranks. A rank without a task in a short step adds nothing."""
        if self.count == 1:
            return
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        with _across_ranks():
            dist.all_reduce(together)
        for parameter, part in zip(learning, together.split([p.numel() for p in learning]), strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Wait for all ranks."""
        self.sum([0.0])

    def sum(self, values: Iterable[float]) -> list[float]:
        """The sum over ranks of each value, in float64."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, value: float) -> float:
        """The largest value over all ranks."""
        return self._reduced([value], dist.ReduceOp.MAX)[0]

    def gather(self, part: Item) -> list[Item]:
        """All ranks' parts, in the order of the ranks, on every rank."""
        if self.count == 1:
            return [part]
        parts: list[Any] = [None] * self.count
        with _across_ranks():
            dist.all_gather_object(parts, part)
        return parts

    def _reduced(self, values: Iterable[float], how: "dist.ReduceOp.RedOpType") -> list[float]:
        together = torch.tensor(list(values), dtype=torch.float64)
        if self.count > 1:
            together = together.to(self.device if dist.get_backend() == "nccl" else "cpu")
            with _across_ranks():
                dist.all_reduce(together, op=how)
        found: list[float] = together.tolist()
        return found


def merge_shares(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Merge the parts from `share` into the original order."""
    together: list[Item] = []
    for place in range(max(map(len, parts), default=0)):
        together += [part[place] for part in parts if place < len(part)]
    return together


@contextmanager
def _across_ranks() -> Iterator[None]:
    """Wrap operations across ranks: if another rank has failed, it has reported its error, and this rank must not end
    in a traceback."""
    try:
        yield
    except RuntimeError as error:  # raised by gloo; NCCL's DistBackendError is a subclass
        reason = str(error).splitlines()[0][:200]
        raise DataError(
            f"another rank has failed and reported its error; this rank can't continue alone ({reason})"
        ) from None


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the ranks that torchrun has started while the block runs; a single rank without torchrun.

    Args:
        device: the requested device; with several GPUs each rank uses its own.

    Raises:
        UsageError: if there are more ranks on this machine than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UsageError(f"rank {local} of this machine has no GPU: {torch.cuda.device_count()} for all ranks")
        device = torch.device("cuda", local)
    with ExitStack() as stack:
        if device.type == "cuda" and device.index is not None:
            stack.enter_context(torch.cuda.device(device))  # otherwise pinning memory would also use the first GPU
        if count == 1:
            yield Ranks(device)
            return
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        stack.callback(dist.destroy_process_group)
        yield Ranks(device, dist.get_rank(), count)
