"""Grouped convolutions whose second derivatives take about as long as their first ones.

PyTorch's own derivative of a convolution's gradient goes through a grouped convolution one group at a time: a
depthwise layer of 1,152 channels is 1,152 convolutions of one channel, each too small to keep a core or a GPU busy.

But a convolution is linear in its input x and in its weight w. With g of the output's shape, the one number

    T(x, w, g) = <conv(x, w), g>

is linear in each of the three. Its derivative by g is the convolution; by x and by w it is the convolution's two
gradients. A derivative of one of these three maps is again one of them, so they are all that is needed at any order,
and each is one fast call.
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
    """What a convolution does, apart from its numbers: the sizes of both inputs, and how the weight moves."""

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
    """As `torch.nn.functional.conv2d` of a batch, but for `padding` as a word. Under autocast in its type."""
    if torch.is_autocast_enabled(x.device.type):
        lower = torch.get_autocast_dtype(x.device.type)
        x, w = x.to(lower), w.to(lower)
        bias = None if bias is None else bias.to(lower)
    shape = _Shape(tuple(x.shape), tuple(w.shape), _pair(stride), _pair(padding), _pair(dilation), groups)
    y: Tensor = _ByOutput.apply(x, w, shape)
    return y if bias is None else y + bias[:, None, None]


class QuickSecondDerivatives(TorchFunctionMode):
    """Inside this block every grouped convolution of a batch of images is `convolve`, whichever module it is in.

    For what will be differentiated twice: values and first derivatives are no quicker.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each of its functions."""
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
    """Of a batch, and with numbers for its padding: what `convolve` takes."""
    return groups > 1 and x.ndim == 4 and not isinstance(padding, str)


def _wanted(ctx: Any, *makers: Callable[[], Tensor]) -> tuple[Tensor | None, ...]:
    """The derivatives that something asks for; and None for the shape."""
    return (*(make() if needed else None for make, needed in zip(makers, ctx.needs_input_grad, strict=False)), None)


def _unset(size: tuple[int, ...], like: Tensor) -> Tensor:
    """A tensor of which nothing but size and layout is read; the layout is the extractors' own."""
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    one, *rest = value
    return one, rest[0] if rest else one
