"""Counts multiply-accumulates (MACs) of any computation, in two ways.

Our count covers what runs: every matrix product, convolution, attention and factorization. The formulas are those of
PyTorch's flop counter, where two operations are one MAC, plus our own for Cholesky and triangular solving. Elementwise
operations (norms, activations, pooling) are not counted, because they are not multiply-accumulates.

The leaderboard's count is that of thop 0.1.1, which has a hook on every module of a known type, so functional calls
such as attention count as zero:

- convolution: outputs x kernel x input channels of a group; Linear: outputs x inputs; a bias is free; - BatchNorm and
LayerNorm with weights: 4 x inputs; adaptive average pooling: outputs x (inputs per output + 1); - types are compared
exactly, so subclasses are free: in EfficientNets, every strided convolution and every norm.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Work = Callable[[], object]


@dataclass(frozen=True)
class PartMacs:
    """MACs of one part, by our count and by the leaderboard's."""

    part: str
    ours: int
    leaderboard: int


def total(parts: Sequence[PartMacs]) -> PartMacs:
    """The sum over parts."""
    return PartMacs("all", sum(part.ours for part in parts), sum(part.leaderboard for part in parts))


def count_macs(work: Work) -> int:
    """MACs of everything that runs in `work`, including backward passes, by our count. Not under inference_mode."""
    # Run attention as two matrix products: in some PyTorch releases the fused kernel counts as zero on a CPU.
    with sdpa_kernel(SDPBackend.MATH), _OperationCounter() as counter:
        work()
    return counter.operations // 2


def count_leaderboard_macs(module: nn.Module, work: Work) -> int:
    """MACs of one forward pass of `module`, which `work` runs, by thop's rules."""
    counts: list[int] = []

    def add(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # The published code's ViTs had torch's own LayerNorm; today's have timm's subclass of it.
        kind = nn.LayerNorm if isinstance(part, nn.LayerNorm) else type(part)
        if kind in _THOP:
            counts.append(_THOP[kind](part, inputs[0], output))

    handles = [part.register_forward_hook(add) for part in module.modules()]
    try:
        with torch.no_grad():
            work()
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


def eigenvector_macs(size: int) -> int:
    """MACs for all eigenvalues and eigenvectors of a symmetric matrix: 9 n^3 operations (Golub and Van Loan, section
    8.3)."""
    return 9 * size**3 // 2


class _OperationCounter(TorchDispatchMode):
    """Adds up the operations of everything that runs. FlopCounterMode also tracks modules, which fails if autograd.grad
    runs inside one."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Overrides torch's method, which would first load the whole compiler (2 s of CPU time)."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        if formula:
            self.operations += formula(*args, **(kwargs or {}), out_val=out)
        elif _NEEDS_A_FORMULA.match(func.name()):
            raise NotImplementedError(f"no formula for the operations of {func.name()}: add one to models/counting.py")
        return out


def _cholesky(matrix: Tensor, **_: Any) -> int:
    return matrix.numel() * matrix.shape[-1] // 3


def _solve_triangular(matrix: Tensor, right: Tensor, **_: Any) -> int:
    return right.numel() * matrix.shape[-1]


def _cholesky_solve(right: Tensor, factor: Tensor, *_: Any, **__: Any) -> int:
    return 2 * right.numel() * factor.shape[-1]


def _solve(matrix: Tensor, right: Tensor, **_: Any) -> int:
    return 2 * matrix.numel() * matrix.shape[-1] // 3 + 2 * right.numel() * matrix.shape[-1]


def _inverse(matrix: Tensor, **_: Any) -> int:
    return 2 * matrix.numel() * matrix.shape[-1]


def _eigenvectors(matrix: Tensor, **_: Any) -> int:
    return 2 * eigenvector_macs(matrix.shape[-1])


def _matrix_vector(matrix: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


_FORMULAS: dict[Any, Callable[..., int]] = flop_registry | {
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.dot: _matrix_vector,
    torch.ops.aten.linalg_cholesky_ex: _cholesky,  # n^3 / 3 operations
    torch.ops.aten.linalg_solve_triangular: _solve_triangular,  # n^2 per column
    torch.ops.aten.cholesky_solve: _cholesky_solve,  # two triangular solves
    torch.ops.aten._linalg_solve_ex: _solve,  # LU, 2 n^3 / 3, and two triangular solves
    torch.ops.aten.linalg_inv_ex: _inverse,  # 2 n^3
    torch.ops.aten._linalg_eigh: _eigenvectors,
}

# Linear algebra without a formula, which would silently count as zero.
_NEEDS_A_FORMULA = re.compile(
    r"aten::_?(linalg_(?!vector_norm|cross|diagonal|check_errors)|cholesky|lu_|svd|qr|triangular|addmv)"
)


def _thop_conv(conv: Any, inputs: Tensor, outputs: Tensor) -> int:
    return int(outputs.numel() * (inputs.shape[1] // conv.groups) * conv.weight[0, 0].numel())


def _thop_linear(linear: Any, inputs: Tensor, outputs: Tensor) -> int:
    return int(outputs.numel() * linear.in_features)


def _thop_norm(norm: Any, inputs: Tensor, outputs: Tensor) -> int:
    return inputs.numel() * (2 if norm.weight is None else 4)


def _thop_adaptive_pool(pool: Any, inputs: Tensor, outputs: Tensor) -> int:
    return inputs.numel() + outputs.numel()


_THOP: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], int]] = {
    nn.Conv2d: _thop_conv,
    nn.Linear: _thop_linear,
    nn.BatchNorm2d: _thop_norm,
    nn.LayerNorm: _thop_norm,
    nn.AdaptiveAvgPool2d: _thop_adaptive_pool,
}
