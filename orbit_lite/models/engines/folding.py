"""The engine `torch`: PyTorch, with every BatchNorm folded into the preceding convolution.

In eval mode a BatchNorm multiplies each channel by gamma / sqrt(var + eps) and adds a number, which the convolution's
weights can do as well. The norms of a FiLM state are folded in the same way, in milliseconds per state. The pairs of
convolution and norm are found once per network by running a copy, and the result is compared with the network itself. A
network without such pairs, such as a vision transformer, runs as it is written.
"""

import copy
import logging
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from orbit_lite.models.engines.encoder import Encoder
from orbit_lite.models.extractor import Extractor, ExtractorState

if TYPE_CHECKING:
    from timm.layers.norm_act import BatchNormAct2d

_LOG = logging.getLogger("orbit_lite")
_TOLERANCE = 1e-6  # of the features' standard deviation, in float64; a wrong pair causes a far larger error
_OF_A_NORM = ("weight", "bias", "running_mean", "running_var")
_LOOKED_AT: "WeakKeyDictionary[nn.Module, tuple[list[int], FoldedNet | None]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class FoldedNet:
    """A network with its norms folded, without weights of its own.

    net: its layers on the meta device, with no tensor shared by two layers.
    pairs: maps each convolution's name to the norm that is folded into it.
    """

    net: nn.Module
    pairs: Mapping[str, str]
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def weights(
        self, net: nn.Module, state: ExtractorState | None = None, *, with_graph: bool = False
    ) -> dict[str, Tensor]:
        """The tensors for `self.net`, by name, that make it equal to the network with a state's parameters."""
        found = _by_place(net, state or {})
        found = found if with_graph else {name: value.detach() for name, value in found.items()}
        for conv, norm in self.pairs.items():
            own = {name: found.pop(f"{norm}.{name}", None) for name in _OF_A_NORM}
            found.pop(f"{norm}.num_batches_tracked", None)
            mean, var = own["running_mean"], own["running_var"]
            assert mean is not None and var is not None  # `_pairs` only accepts norms with statistics
            scale = (var.double() + net.get_submodule(norm).eps).rsqrt()  # type: ignore[operator]
            scale = scale if own["weight"] is None else scale * own["weight"]
            weight, bias = found[f"{conv}.weight"], found.get(f"{conv}.bias")
            shift = (0 if bias is None else bias) - mean.double()
            shift = shift * scale + (0 if own["bias"] is None else own["bias"])
            found[f"{conv}.weight"] = weight * scale.view(-1, 1, 1, 1).to(weight.dtype)
            found[f"{conv}.bias"] = shift.to(weight.dtype)
        return found

    def encoder(self, extractor: Extractor, weights: Mapping[str, Tensor]) -> Encoder:
        """An encoder with these weights; with graph if gradients are on. Threads take turns, because each call puts the
        weights into the layers."""

        def encode(frames: Tensor) -> Tensor:
            pixels = extractor.pixels(frames.to(extractor.mean.device, non_blocking=True))
            with self.lock:
                features: Tensor = functional_call(self.net, dict(weights), (pixels,))
            return features.float() if features.dtype in (torch.bfloat16, torch.float16) else features

        return encode


@dataclass(frozen=True)
class FoldedEngine:
    """See the module's docstring."""

    name: str = "torch"
    chunks_at_once: int = 1

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """See Engine; it never fails."""
        folded = folded_net(extractor)
        if folded is None:
            return lambda frames: extractor.encode(frames, state=state)
        return folded.encoder(extractor, folded.weights(extractor.net, state))


@torch.no_grad()
def folded_net(extractor: Extractor) -> FoldedNet | None:
    """An extractor's network with its norms folded; None if no norm can be folded. Computed once per network."""
    net, size_px = extractor.net, extractor.frame_size_px
    modules = [id(module) for module in net.modules()]
    known = _LOOKED_AT.get(net)
    if known is None or known[0] != modules:
        draw = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, (2, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
        with torch.autocast(extractor.mean.device.type, enabled=False):
            known = modules, _fold(net, extractor.pixels(noise.to(extractor.mean.device)))
        _LOOKED_AT[net] = known
    return known[1]


def _fold(net: nn.Module, pixels: Tensor) -> FoldedNet | None:
    if not any(map(_can_be_taken, net.modules())):
        return None  # don't run the network
    try:
        taken = copy.deepcopy(net).requires_grad_(False)
        pairs = _pairs(taken, pixels[:1])
        if not pairs:
            return None
        for conv, norm in pairs.items():
            layer = taken.get_submodule(conv)
            assert isinstance(layer, nn.Conv2d)
            layer.bias = nn.Parameter(torch.empty(layer.out_channels), requires_grad=False)
            taken.set_submodule(norm, _what_else(taken.get_submodule(norm)))
        folded = FoldedNet(taken.to("meta"), pairs)
        # In float64, because a network may amplify rounding errors.
        exact, pixels = _with_random_weights(net).double(), pixels.double()
        expected, found = exact(pixels), functional_call(folded.net, folded.weights(exact), (pixels,))
        return folded if (found - expected).abs().max() <= _TOLERANCE * expected.std() else None
    except Exception as error:  # a network may raise any error, for example because it refuses float64
        _LOG.debug("norms are not folded into convolutions: %s", error, exc_info=True)
        return None


def _with_random_weights(net: nn.Module) -> nn.Module:
    """A copy with random weights: a network's initial weights (zeros, ones or NaN) may hide errors until they are
    trained."""
    net, draw = copy.deepcopy(net), torch.Generator().manual_seed(0)
    for value in net.parameters():
        if value.is_floating_point():
            fan_in = math.prod(value.shape[1:])
            value.copy_(torch.randn(value.shape, generator=draw) * math.sqrt(2 / max(fan_in, 1)))
    for norm in filter(_can_be_taken, net.modules()):
        mean, var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        mean.copy_(0.1 * torch.randn(mean.shape, generator=draw))
        var.copy_(0.5 + torch.rand(var.shape, generator=draw))
    return net


def _by_place(net: nn.Module, state: ExtractorState) -> dict[str, Tensor]:
    """All layers' tensors by name, replaced by a state's where it has them; a shared tensor appears under each name."""
    named = {id(value): state[name] for name, value in net.named_parameters() if name in state}
    return {
        f"{place}.{name}" if place else name: named.get(id(value), value)
        for place, module in net.named_modules()
        for name, value in (*module._parameters.items(), *module._buffers.items())
        if value is not None
    }


def _pairs(net: nn.Module, pixels: Tensor) -> dict[str, str]:
    """Find the convolutions whose output goes only into a norm, by running the network; maps each to its norm."""
    names = {module: name for name, module in net.named_modules()}
    made: dict[int, nn.Module] = {}  # id of the output -> module
    kept: list[Tensor] = []  # keeps the tensors alive, so that their ids stay unique
    pairs: dict[str, str] = {}
    runs: dict[nn.Module, int] = {}

    def ran(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs[module] = runs.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module
            kept.append(output)
        elif inputs and id(inputs[0]) in made:
            pairs[names[made[id(inputs[0])]]] = names[module]

    layers = [module for module in net.modules() if _can_take(module) or _can_be_taken(module)]
    handles = [layer.register_forward_hook(ran) for layer in layers]
    try:
        net(pixels)
    finally:
        for handle in handles:
            handle.remove()
    once = {names[module] for module, count in runs.items() if count == 1}
    return {conv: norm for conv, norm in pairs.items() if {conv, norm} <= once}


def _can_take(module: nn.Module) -> bool:
    # a weight that is computed from others, as with weight norm, is not a parameter
    return isinstance(module, nn.Conv2d) and module._parameters.get("weight") is not None


def _can_be_taken(module: nn.Module) -> bool:
    known = type(module) is nn.BatchNorm2d or _is_norm_with_activation(module)  # subclasses may do more
    return known and module._buffers.get("running_mean") is not None and "weight" in module._parameters


def _is_norm_with_activation(module: nn.Module) -> "TypeGuard[BatchNormAct2d]":
    """Whether this is timm's BatchNorm with dropout and an activation."""
    timm = sys.modules.get("timm.layers.norm_act")  # importing it takes seconds; a network of such norms has done so
    return timm is not None and type(module) is timm.BatchNormAct2d


def _what_else(norm: nn.Module) -> nn.Module:
    """What remains of a folded norm layer: timm's norm layers include dropout and the activation."""
    if _is_norm_with_activation(norm):
        return nn.Sequential(OrderedDict(drop=norm.drop, act=norm.act))  # an activation's weights keep their names
    return nn.Identity()
