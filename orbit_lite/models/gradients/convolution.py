"""Grouped convolutions whose second derivatives are about as fast as their first derivatives.

PyTorch differentiates a grouped convolution's gradient one group at a time: a depthwise layer of 1,152 channels becomes
1,152 convolutions of one channel, each too small to keep a core or a GPU busy.

But a convolution is linear in its input x and in its weight w. With g of the output's shape, the number

    T(x, w, g) = <conv(x, w), g>

is linear in each of the three. Its derivative with respect to g is the convolution; those with respect to x and w are
the convolution's two gradients. The derivatives of these three maps are again among the three, so they suffice for any
order, and each is one fast call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class _Shape:
    """A convolution's settings: the sizes of input and weight, stride, padding, dilation and groups."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def by_output(self, x: Tensor, w: Tensor) -> Tensor:
        return torch.ops.aten.convolution(
            x, w, None, self.stride, self.padding, self.dilation, False, (0, 0), self.groups
        )

    def by_input(self, w: Tensor, g: Tensor) -> Tensor:
        return self._backward(g, _unset(self.x, w), w, (True, False, False))[0]

    def by_weight(self, x: Tensor, g: Tensor) -> Tensor:
        return self._backward(g, x, _unset(self.w, x), (False, True, False))[1]

    def _backward(self, g: Tensor, x: Tensor, w: Tensor, wanted: tuple[bool, bool, bool]) -> Sequence[Tensor]:
        found: Sequence[Tensor] = torch.ops.aten.convolution_backward(
            g, x, w, None, self.stride, self.padding, self.dilation, False, (0, 0), self.groups, wanted
        )
        return found


class _ByOutput(Function):
    """The convolution itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, shape: _Shape) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.shape = shape
        return shape.by_output(x, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        return _wanted(ctx, lambda: _ByInput.apply(w, g, ctx.shape), lambda: _ByWeight.apply(x, g, ctx.shape))


class _ByInput(Function):
    """The convolution's gradient for its input."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, g: Tensor, shape: _Shape) -> Tensor:
        ctx.save_for_backward(w, g)
        ctx.shape = shape
        return shape.by_input(w, g)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> tuple[Tensor | None, ...]:
        w, g = ctx.saved_tensors
        return _wanted(ctx, lambda: _ByWeight.apply(x, g, ctx.shape), lambda: _ByOutput.apply(x, w, ctx.shape))


class _ByWeight(Function):
    """The convolution's gradient for its weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, shape: _Shape) -> Tensor:
        ctx.save_for_backward(x, g)
        ctx.shape = shape
        return shape.by_weight(x, g)

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> tuple[Tensor | None, ...]:
        x, g = ctx.saved_tensors
        return _wanted(ctx, lambda: _ByInput.apply(w, g, ctx.shape), lambda: _ByOutput.apply(x, w, ctx.shape))


def convolve(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Same as `torch.nn.functional.conv2d` for a batch, except that `padding` can't be a string. It follows
    autocast."""
    if torch.is_autocast_enabled(x.device.type):
        lower = torch.get_autocast_dtype(x.device.type)
        x, w = x.to(lower), w.to(lower)
        bias = None if bias is None else bias.to(lower)
    shape = _Shape(tuple(x.shape), tuple(w.shape), _pair(stride), _pair(padding), _pair(dilation), groups)
    y: Tensor = _ByOutput.apply(x, w, shape)
    return y if bias is None else y + bias[:, None, None]


class FastSecondDerivatives(TorchFunctionMode):
    """Inside this context every grouped convolution of a batch of images uses `convolve`, in any module.

    Use it for functions that are differentiated twice; values and first derivatives don't get faster.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each function call."""
        kwargs = kwargs or {}
        if func is torch.conv2d and len(args) > 1 and _is_grouped(*args, **kwargs):
            return convolve(*args, **kwargs)
        return func(*args, **kwargs)


def _is_grouped(
    x: Tensor,
    w: Tensor,
    bias: object = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> bool:
    """Whether this is a grouped convolution that `convolve` supports: of a batch, with numeric padding."""
    return groups > 1 and x.ndim == 4 and not isinstance(padding, str)


def _wanted(ctx: Any, *makers: Callable[[], Tensor]) -> tuple[Tensor | None, ...]:
    """The derivatives that are needed, None for the others; and None for the shape."""
    return (*(make() if needed else None for make, needed in zip(makers, ctx.needs_input_grad, strict=False)), None)


def _unset(size: tuple[int, ...], like: Tensor) -> Tensor:
    """A tensor of which only the size and the layout are read; it has the extractors' layout."""
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    one, *rest = value
    return one, rest[0] if rest else one
