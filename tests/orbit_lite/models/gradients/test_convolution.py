from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from orbit_lite.models.gradients.convolution import FastSecondDerivatives, convolve

CASES = {
    "depthwise": {"groups": 4, "padding": 1},
    "two groups": {"groups": 2, "padding": (0, 1)},
    "stride": {"groups": 4, "stride": 2, "padding": 1},  # 6 pixels: the last row of the input is not used
    "dilation": {"groups": 2, "dilation": (1, 2), "padding": 2},
    "one group": {"groups": 1, "stride": (2, 1)},
}


def inputs(groups, *, channels=4, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    shapes = (2, channels, 6, 5), (channels, channels // groups, 3, 3), (channels,)
    return [torch.randn(shape, generator=draw, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_with_first_and_second_derivatives(case, layout):
    settings = CASES[case]
    x, w, bias = inputs(settings["groups"])
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    assert torch.allclose(convolve(x, w, bias, **settings), F.conv2d(x, w, bias, **settings), rtol=0, atol=1e-13)
    quick = partial(convolve, **settings)
    assert gradcheck(quick, (x, w, bias), fast_mode=True)
    assert gradgradcheck(quick, (x, w, bias), fast_mode=True)


def hessian_product(net, images, *, quick):
    """The Hessian product of the sum of cubed outputs with a vector of ones, for each parameter."""
    parameters = list(net.parameters())
    if quick:
        with FastSecondDerivatives():
            out = net(images)
    else:
        out = net(images)
    slopes = torch.autograd.grad((out**3).sum(), parameters, create_graph=True)
    return torch.autograd.grad(sum(slope.sum() for slope in slopes), parameters)


def depthwise(channels):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(channels, channels, 3, groups=channels, padding=1), nn.Tanh()
        return nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, groups=channels, padding="same")).double()


def test_inside_its_block_modules_give_the_same():
    net, images = depthwise(4), torch.randn(2, 4, 6, 6, dtype=torch.float64)
    for one, other in zip(
        hessian_product(net, images, quick=True), hessian_product(net, images, quick=False), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


class Convolutions(TorchDispatchMode):
    """Counts convolutions."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen += "convolution" in str(func)
        return func(*args, **(kwargs or {}))


def test_no_convolution_of_its_own_for_each_group():
    def count(channels):
        net = nn.Conv2d(channels, channels, 3, groups=channels)
        with Convolutions() as counted:
            hessian_product(net, torch.randn(2, channels, 6, 6), quick=True)
        return counted.seen

    assert count(32) == count(4) <= 6


def test_under_autocast_it_has_the_lower_type():
    x, w, bias = inputs(4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out, plain = convolve(x, w, bias, groups=4), F.conv2d(x, w, bias, groups=4)
    assert out.dtype == plain.dtype == torch.bfloat16
    assert torch.allclose(out, plain, rtol=0.02, atol=0.05)
    out.float().sum().backward()
    assert x.grad.dtype == w.grad.dtype == torch.float32


def test_an_image_without_a_batch_is_left_to_torch():
    x, w, bias = inputs(4)
    with FastSecondDerivatives():
        assert F.conv2d(x[0], w, bias, groups=4).shape == (4, 4, 3)
