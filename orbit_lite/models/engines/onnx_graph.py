"""Caches an extractor's network on disk as an ONNX graph without weights, to be filled with any weights for it.

PyTorch's exporter takes 5 to 15 seconds to make a graph; filling one with the weights of a checkpoint, or of a support
set's FiLM state, takes milliseconds. The file holds no weights, so nothing of a checkpoint remains in the cache.
"""

import copy
import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from groundwork.cache import cache_base
from groundwork.files import write_bytes
from orbit_lite.models.engines.folding import FoldedNet, folded_net
from orbit_lite.models.extractor import Extractor, ExtractorState

if TYPE_CHECKING:
    import onnx

OPSET = 18  # the lowest version that PyTorch's exporter supports; runtimes since early 2023 read it
_LOG = logging.getLogger("orbit_lite")
FRAMES, FEATURES = "frames", "features"
_MADE_WITH = ("torch", "onnx", "onnxscript", "timm")  # a cached graph depends on the versions of these
_PREFIX = "net."  # prefix of the network's tensors in EncodingGraph
_UNWRITTEN: dict[Path, bytes] = {}  # graphs of this process that could not be written, by file
_FORM = 1  # version of cached graphs; increase it when this module makes different graphs


class EncodingGraph(nn.Module):
    """Normalization and network: uint8 frames (n, 3, s, s) to features (n, width)."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        """mean, std: in units of uint8 pixels, (3, 1, 1)."""
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        features: Tensor = self.net((frames.to(self.mean.dtype) - self.mean) / self.std)
        return features


def encoding_model(extractor: Extractor, state: ExtractorState | None, *, rebuild: bool = False) -> "onnx.ModelProto":
    """The extractor with a state's parameters as an ONNX model, FRAMES to FEATURES, for any number of frames.

    The graph comes from the user's cache if it is there, unless `rebuild` is set.

    Raises:
        ModuleNotFoundError: if onnx or onnxscript is not installed.
        Exception: any error of the exporter, for a network that it can't trace.
    """

    folded = folded_net(extractor) or FoldedNet(_shape_of(extractor.net), {})
    weights = {name: value.cpu() for name, value in folded.weights(extractor.net, state).items()}
    file = graph_file(extractor)
    model = None if rebuild else _kept(file, weights)
    if model is None:
        # Export with other weights: exporters merge tensors that are equal, which the extractor's own may be.
        draw = torch.Generator().manual_seed(0)
        random = {
            name: torch.rand(value.shape, generator=draw).to(value.dtype) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        model = _exported(extractor, folded, random)
        if not _emptied(model, random):
            return _exported(extractor, folded, weights)
        content = model.SerializeToString()
        try:
            write_bytes(file, content)
        except OSError:  # without a writable cache, each process has to make the graph once
            _LOG.debug("%s: can't be written; the graph will be made again next time", file, exc_info=True)
            _UNWRITTEN[file] = content
        _fill(model, weights)
    return model


def graph_file(extractor: Extractor) -> Path:
    """The cache file for the graph of an extractor's network."""
    made_with = [f"{name} {_version(name)}" for name in _MADE_WITH]
    size_px, dtype = extractor.frame_size_px, extractor.mean.dtype
    facts = [
        str(_FORM),
        *made_with,
        f"{size_px} {dtype}",
        f"{extractor.backbone.mean} {extractor.backbone.std}",
        repr(extractor.net),
    ]
    shapes = [f"{name} {tuple(value.shape)}" for name, value in extractor.net.state_dict().items()]
    key = hashlib.sha256("\n".join([*facts, *shapes]).encode()).hexdigest()[:24]
    return cache_base() / "graphs" / f"{key}.onnx"


def onnx_model(
    module: nn.Module, example: Tensor, *, takes: str, gives: Sequence[str], optimize: bool = True
) -> "onnx.ModelProto":
    """Export a module with one input as an ONNX model for any number of items, with the given input and output names.

    optimize: let the exporter simplify the graph; otherwise every tensor of the module keeps its name and shape.
    """
    with quiet():
        program: Any = torch.onnx.export(
            traced(module, example),
            input_names=[takes],
            output_names=gives,
            opset_version=OPSET,
            dynamo=True,
            optimize=optimize,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto
    return model


def traced(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Trace a module with one input for any number of items, without the names of source files on this machine."""
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the exporters' warnings, which are for authors of models."""
    with warnings.catch_warnings(action="ignore"):
        yield


def _exported(extractor: Extractor, folded: FoldedNet, weights: Mapping[str, Tensor]) -> "onnx.ModelProto":
    net = copy.deepcopy(folded.net)
    for name, value in weights.items():
        place, _, own = name.rpartition(".")
        layer = net.get_submodule(place)
        if own in layer._buffers:
            layer._buffers[own] = value
        else:
            layer._parameters[own] = nn.Parameter(value, requires_grad=False)
    graph = EncodingGraph(net, extractor.mean.cpu(), extractor.std.cpu()).eval()
    size_px = extractor.frame_size_px
    example = torch.zeros(2, 3, size_px, size_px, dtype=torch.uint8)
    return onnx_model(graph, example, takes=FRAMES, gives=[FEATURES], optimize=False)


def _kept(file: Path, weights: Mapping[str, Tensor]) -> "onnx.ModelProto | None":
    """The cached graph, filled with these weights; None if there is no usable one."""
    import onnx

    try:
        model = onnx.load_model_from_string(_UNWRITTEN[file] if file in _UNWRITTEN else file.read_bytes())
        _fill(model, weights)
    except Exception as error:  # missing or invalid: the graph is made again
        _LOG.debug("%s: not used: %s", file, error)
        return None
    return model


def _fill(model: "onnx.ModelProto", weights: Mapping[str, Tensor]) -> None:
    """Put weights into a graph that has none.

    Raises:
        ValueError: if they don't match.
    """
    left = _used(weights)
    for entry in model.graph.initializer:
        if entry.HasField("raw_data"):
            continue
        name = entry.name.removeprefix(_PREFIX)
        if name not in left or tuple(weights[name].shape) != tuple(entry.dims):
            raise ValueError(f"{entry.name} {tuple(entry.dims)} has no weights")
        entry.raw_data = _raw(weights[name])
        left.discard(name)
    if left:
        raise ValueError(f"{min(left)} is not in the graph")


def _emptied(model: "onnx.ModelProto", weights: Mapping[str, Tensor]) -> bool:
    """Remove the weights from a graph; False unless all of them were in it under their names, unchanged."""
    left = _used(weights)
    for entry in model.graph.initializer:
        name = entry.name.removeprefix(_PREFIX)
        if name != entry.name and name in left and entry.raw_data == _raw(weights[name]):
            entry.ClearField("raw_data")
            left.discard(name)
    return not left


def _used(weights: Mapping[str, Tensor]) -> set[str]:
    return {name for name in weights if not name.endswith("num_batches_tracked")}


def _raw(value: Tensor) -> bytes:
    return value.contiguous().numpy().tobytes()


def _shape_of(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(False).to("meta")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
