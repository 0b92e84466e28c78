"""An extractor's network as an ONNX graph without weights, kept on disk, that any weights of that network fit into.

To make a graph takes PyTorch's exporter 5 to 15 seconds; to fill one with the weights of a checkpoint, or of a support
set's FiLM state, takes milliseconds. The file holds no weights: nothing of anybody's checkpoint stays behind in it.
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

OPSET = 18  # the lowest that PyTorch's exporter is made for: runtimes since early 2023 read it
_LOG = logging.getLogger("orbit_lite")
FRAMES, FEATURES = "frames", "features"
_MADE_WITH = ("torch", "onnx", "onnxscript", "timm")  # whose versions a kept graph hangs on
_PREFIX = "net."  # of the network's tensors in EncodingGraph
_UNWRITTEN: dict[Path, bytes] = {}  # graphs of this process that could not be kept, by their file
_FORM = 1  # of kept graphs: another one where this module makes others


class EncodingGraph(nn.Module):
    """uint8 frames (n, 3, s, s) to features (n, width): normalization and network."""

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


def encoding_model(extractor: Extractor, state: ExtractorState | None, *, anew: bool = False) -> "onnx.ModelProto":
    """The extractor with a state's parameters in place of its own, in ONNX: FRAMES to FEATURES, any number of them.

    The graph comes from the user's cache where it was made before, unless it is to be made anew.

    Raises:
        ModuleNotFoundError: if onnx or onnxscript is not installed.
        Exception: what the exporter raises for a network that it can't trace.
    """

    folded = folded_net(extractor) or FoldedNet(_shape_of(extractor.net), {})
    weights = {name: value.cpu() for name, value in folded.weights(extractor.net, state).items()}
    file = graph_file(extractor)
    model = None if anew else _kept(file, weights)
    if model is None:
        # Of other weights than the extractor's: where two of those are equal, exporters make one of them.
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
        except OSError:  # a cache that can't be written to costs time, once in a process
            _LOG.debug("%s: can't be written; the graph is made again next time", file, exc_info=True)
            _UNWRITTEN[file] = content
        _fill(model, weights)
    return model


def graph_file(extractor: Extractor) -> Path:
    """Where the graph of an extractor's network is kept."""
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
    """A module of one input as an ONNX model, for any number of items; the names are its input's and outputs'.

    optimize: let the exporter simplify it; else every tensor of the module keeps its name and shape.
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
    """A module of one input, traced for any number of items; without the names of this machine's files."""
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' warnings: they are for people who write models."""
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
    """A graph that was made before, with these weights; None if there is none that can be used."""
    import onnx

    try:
        model = onnx.load_model_from_string(_UNWRITTEN[file] if file in _UNWRITTEN else file.read_bytes())
        _fill(model, weights)
    except Exception as error:  # no file, or anything else in its place: a graph is made again
        _LOG.debug("%s: not used: %s", file, error)
        return None
    return model


def _fill(model: "onnx.ModelProto", weights: Mapping[str, Tensor]) -> None:
    """Put weights into a graph without.

    Raises:
        ValueError: if they don't fit.
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
        raise ValueError(f"{min(left)} has no place")


def _emptied(model: "onnx.ModelProto", weights: Mapping[str, Tensor]) -> bool:
    """Take the weights out of a graph; whether all of them stood there by their names and as they are."""
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
