"""Multiply-accumulates (MACs) of a recogniser, by part, counted in two ways.

Ours counts what runs: every matrix product, convolution, attention and factorisation, heads included. The formulas are
PyTorch's flop counter's, whose two operations are one MAC; Cholesky and triangular solving are added. What is done to
each element alone (norms, activations, pooling) is not counted: it is no multiply-accumulate.

The leaderboard's count is that of thop 0.1.1 (a hook on every module of a known type, so that whatever is no module,
attention and functional calls, counts as nothing) and of what the published heads report of themselves:

- convolution: outputs x kernel x input maps of a group; Linear: outputs x inputs; a bias is free;
- BatchNorm and LayerNorm with weights: 4 x inputs; adaptive average pooling: outputs x (inputs of each + 1);
- types are compared exactly, so a subclass is free: of the EfficientNets every strided convolution and every norm;
- FineTuner: each step encodes every frame anew, and a backward pass counts as much as a forward pass.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from groundwork.errors import AskedWrong
from orbit_lite.models.film import FilmAdapter
from orbit_lite.models.finetuner import FilmTuner
from orbit_lite.models.heads.linear import LogisticHead, StepsHead
from orbit_lite.models.heads.mahalanobis import MahalanobisHead
from orbit_lite.models.heads.versa import VersaHead
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.models.set_encoder import MAPS

Work = Callable[[], object]


@dataclass(frozen=True)
class PartMacs:
    """MACs of one part's share in some work: by our count, and by the leaderboard's."""

    part: str
    ours: int
    leaderboard: int


def total(parts: Sequence[PartMacs]) -> PartMacs:
    """The sum over parts."""
    return PartMacs("all", sum(part.ours for part in parts), sum(part.leaderboard for part in parts))


def personalize_macs(recognizer: Recognizer, *, way: int, support: int) -> list[PartMacs]:
    """From `support` frames of `way` classes, as equal in number as can be, to a fitted recogniser.

    Frames are encoded each for itself, so one is encoded here and its count multiplied; heads are fitted to random
    features. A backward pass is counted by the operations it consists of: about twice the forward pass where a weight
    learns, about once where only what lies before it does.

    Raises:
        AskedWrong: if there are fewer support frames than classes, or no class.
    """
    if not 1 <= way <= support:
        raise AskedWrong(f"way {way}, support {support}: expected one class or more, and a support frame for each")
    labels = torch.arange(support, device=recognizer.device) % way
    if isinstance(recognizer.adapter, FilmTuner):
        return [_film_tuning(recognizer, recognizer.adapter, labels, way)]
    encoding = _encoding(recognizer)
    head = _fitting(recognizer, labels, way)
    times = recognizer.head.steps * 2 if isinstance(recognizer.head, StepsHead) else 1  # see the module's text
    pooling = support * recognizer.extractor.width  # the mean over a clip's frames: counted there for one frame, too
    extractor = PartMacs("extractor", support * encoding.ours, times * support * encoding.leaderboard + pooling)
    adapter = recognizer.adapter
    return [*(_adapting(recognizer, adapter, support) if adapter is not None else []), extractor, head]


def frame_macs(recognizer: Recognizer, *, way: int) -> list[PartMacs]:
    """One query frame to its logits, by a recogniser fitted to `way` classes.

    The leaderboard has no such count: its rules are put to the extractor.
    """
    labels = torch.arange(2 * way, device=recognizer.device) % way
    features = _features(recognizer, 2 * way)
    with torch.no_grad():
        head = recognizer.head.fit(features, labels, way=way)
        return [_encoding(recognizer), PartMacs("head", count_macs(lambda: head.logits(features[:1])), 0)]


def count_macs(work: Work) -> int:
    """MACs of all that runs in `work`, backward passes included, by our count. Not under inference_mode."""
    # Attention by its two matrix products: in some releases of PyTorch the fused one counted as nothing on a CPU.
    with sdpa_kernel(SDPBackend.MATH), _OperationCounter() as counter:
        work()
    return counter.operations // 2


def count_leaderboard_macs(module: nn.Module, work: Work) -> int:
    """MACs of one forward pass of `module`, which `work` runs, by thop's rules."""
    counts: list[int] = []

    def add(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # The published code's ViTs had torch's own LayerNorm, today's have a subclass of timm's.
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


def _encoding(recognizer: Recognizer) -> PartMacs:
    extractor, frame = recognizer.extractor, _frame(recognizer)
    with torch.no_grad():
        ours = count_macs(lambda: extractor.encode(frame))
    return PartMacs("extractor", ours, count_leaderboard_macs(extractor.net, lambda: extractor.encode(frame)))


def _adapting(recognizer: Recognizer, adapter: FilmAdapter, support: int) -> list[PartMacs]:
    extractor, frame = recognizer.extractor, _frame(recognizer)
    embedding = extractor.mean.new_zeros(1, MAPS)

    def encode() -> Tensor:
        return adapter.encode(extractor, frame)

    def generate() -> Mapping[str, Tensor]:
        return adapter.film(extractor, embedding)

    with torch.no_grad():
        encoder, generator = count_macs(encode), count_macs(generate)
    return [
        PartMacs("set encoder", support * encoder, support * count_leaderboard_macs(adapter.set_encoder, encode)),
        PartMacs("FiLM generator", generator, count_leaderboard_macs(adapter.generator, generate)),
    ]


def _film_tuning(recognizer: Recognizer, tuner: FilmTuner, labels: Tensor, way: int) -> PartMacs:
    """One step on one frame; a full-batch step is as many of these as there are frames."""
    one_step, frame = replace(tuner, steps=1), _frame(recognizer)
    ours = count_macs(lambda: one_step.tune(recognizer.extractor, frame, labels[:1], way=way, chunk=1))
    width = recognizer.extractor.width
    leaderboard = 2 * _encoding(recognizer).leaderboard + width + way * width
    passes = tuner.steps * len(labels)
    return PartMacs(f"extractor and head, {tuner.steps} steps", passes * ours, passes * leaderboard)


def _fitting(recognizer: Recognizer, labels: Tensor, way: int) -> PartMacs:
    head, features = recognizer.head, _features(recognizer, len(labels))
    if isinstance(head, LogisticHead):
        return PartMacs("head's fit (scikit-learn's, not counted)", 0, 0)
    with torch.no_grad():
        ours = count_macs(lambda: head.fit(features, labels, way=way))
    items, width = features.shape
    each = list(Counter(labels.tolist()).values())
    means = way * items + items * width
    if isinstance(head, StepsHead):
        leaderboard = head.steps * items * width * way
    elif isinstance(head, VersaHead):
        leaderboard = means + count_leaderboard_macs(head, lambda: head.fit(features, labels, way=way))
    elif isinstance(head, MahalanobisHead):
        covariances = sum(count * width * (count + 2) for count in (items, *each))
        leaderboard = means + covariances + way * (1 + 3 * width**2 + (width**3 - 4 * width) // 3)
    else:  # nearest class mean
        leaderboard = means + 3 * way * width
    return PartMacs("head's fit", ours, leaderboard)


def _frame(recognizer: Recognizer) -> Tensor:
    size_px = recognizer.extractor.frame_size_px
    return torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=recognizer.device)


def _features(recognizer: Recognizer, items: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(items, recognizer.extractor.width, generator=draw).to(recognizer.device)


class _OperationCounter(TorchDispatchMode):
    """Adds up the operations of all that runs. FlopCounterMode also follows modules, and can't where autograd.grad
    runs inside one."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        self.operations += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


def _cholesky(matrix: Tensor, **_: Any) -> int:
    return matrix.numel() * matrix.shape[-1] // 3


def _solve_triangular(matrix: Tensor, right: Tensor, **_: Any) -> int:
    return right.numel() * matrix.shape[-1]


_FORMULAS: dict[Any, Callable[..., int]] = flop_registry | {
    torch.ops.aten.linalg_cholesky_ex: _cholesky,  # n^3 / 3 operations
    torch.ops.aten.linalg_solve_triangular: _solve_triangular,  # n^2 for each column
}


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
