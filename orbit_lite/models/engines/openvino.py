"""The engine `openvino`: Intel's runtime, which fuses layers and picks kernels by processor, on AMD and Arm as well.

Always in float32: left to itself, it computes in bfloat16 where the processor is built for that, and gives other
features. The network goes in as ONNX, by the runtime's own reader, since its converter sends usage data. What comes out
is held against PyTorch before it is used.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from orbit_lite.models.engines.encoder import Encoder, EngineFails
from orbit_lite.models.engines.folding import FoldedEngine
from orbit_lite.models.engines.onnx_graph import FRAMES, encoding_model, graph_file
from orbit_lite.models.extractor import Extractor, ExtractorState

if TYPE_CHECKING:
    import openvino

_LOG = logging.getLogger("orbit_lite")
_USAGE_DATA = "openvino_telemetry"
_TOLERANCE = 1e-4  # of the features' standard deviation; measured: up to 3e-5


@dataclass(frozen=True)
class OpenVinoEngine:
    """See the module."""

    name: str = "openvino"

    @property
    def chunks_at_once(self) -> int:
        """See Engine: one for each thread."""
        return torch.get_num_threads()

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """See Engine. Uses as many threads as torch has now. It may be called from several: their chunks are begun in
        turn, each part as soon as there is room."""
        _require_cpu(extractor)
        _require_installed()
        noise, expected = _by_torch(extractor, state)
        if not expected.isfinite().all():
            # Weights have diverged. Here a ReLU of NaN is 0, and would hide what is reported where features are used.
            return FoldedEngine().encoder(extractor, state)
        was_kept = graph_file(extractor).exists()
        try:
            return _agreeing(extractor, state, noise, expected)
        except EngineFails:
            if not was_kept:
                raise
            _LOG.debug("%s: it may be wrong, and is made again", graph_file(extractor), exc_info=True)
            return _agreeing(extractor, state, noise, expected, anew=True)


def _agreeing(
    extractor: Extractor, state: ExtractorState | None, noise: Tensor, expected: Tensor, *, anew: bool = False
) -> Encoder:
    threads = torch.get_num_threads()
    with torch.autocast("cpu", enabled=False):  # its casts would go into the graph
        model = _compiled(extractor, state, threads, anew=anew)
    idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
    for _ in range(threads):
        idle.put(model.create_infer_request())
    in_turn = threading.Lock()  # or two could wait for each other's requests

    def encode(frames: Tensor) -> Tensor:
        pixels = frames.cpu().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        busy: deque[tuple[openvino.InferRequest, Tensor]] = deque()  # and its part, which it reads while it runs
        found = []
        try:
            with in_turn:
                for part in pixels.chunk(threads):
                    busy.append((idle.get(), part))
                    busy[-1][0].start_async({FRAMES: part.numpy()}, share_inputs=True)
            while busy:
                request = busy[0][0]
                request.wait()
                found.append(torch.from_numpy(request.get_output_tensor(0).data).clone())
                busy.popleft()
                idle.put(request)
        finally:
            for request, _ in busy:  # something failed: nobody may wait for these for ever
                with suppress(Exception):
                    request.wait()
                idle.put(request)
        return torch.cat(found)

    off = (encode(noise) - expected).abs().max()
    if not off <= _TOLERANCE * expected.std():
        raise EngineFails(
            f"{extractor.backbone.name}: features are off by {float(off / expected.std()):.1g} of their standard "
            f"deviation, expected at most {_TOLERANCE:g}"
        )
    return encode


def _by_torch(extractor: Extractor, state: ExtractorState | None) -> tuple[Tensor, Tensor]:
    """Frames of noise and their features."""
    size_px, draw = extractor.frame_size_px, torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (2, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return noise, FoldedEngine().encoder(extractor, state)(noise)


def _require_cpu(extractor: Extractor) -> None:
    if extractor.mean.device.type != "cpu":
        raise EngineFails(f"it computes on the CPU, the recognizer is on {extractor.mean.device}")
    if extractor.mean.dtype != torch.float32:
        raise EngineFails(f"it computes in float32, the network has {str(extractor.mean.dtype).removeprefix('torch.')}")


def _require_installed() -> None:
    try:
        _core()
    except ModuleNotFoundError as error:
        raise EngineFails(f"{error.name} is not installed; pip install {error.name}") from None
    except Exception as error:
        raise EngineFails(f"openvino can't be loaded: {error}") from error


def _compiled(
    extractor: Extractor, state: ExtractorState | None, threads: int, *, anew: bool
) -> "openvino.CompiledModel":
    try:
        core = _core()
        graph = encoding_model(extractor, state, anew=anew)
        model = _takes_pixels_as_decoded(core.read_model(graph.SerializeToString()))
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            # Each thread has frames of its own: threads that share one wait for each other at every layer, and for
            # whatever else has one of the cores, such as a process that decodes.
            "NUM_STREAMS": threads,
        }
        return core.compile_model(model, "CPU", settings)
    except ModuleNotFoundError as error:
        raise EngineFails(f"{error.name} is not installed; pip install {error.name}") from None
    except Exception as error:  # the exporter's and the runtime's own, of many kinds
        reason = str(error).strip().splitlines()
        raise EngineFails(f"{extractor.backbone.name} can't be compiled: {reason[0] if reason else error!r}") from error


def _takes_pixels_as_decoded(model: "openvino.Model") -> "openvino.Model":
    """The same model of frames (n, s, s, 3): a copy less for each frame that was decoded."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()


@cache
def _core() -> "openvino.Core":
    with _without_usage_data():
        import openvino

    return openvino.Core()


@contextmanager
def _without_usage_data() -> Iterator[None]:
    """To be imported in: importing openvino (2026.4) sends that it was imported, and leaves a file in the user's
    home. Where its package for that is missing, it does neither."""
    before = sys.modules.get(_USAGE_DATA)
    sys.modules[_USAGE_DATA] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        yield
    finally:
        del sys.modules[_USAGE_DATA]
        if before is not None:
            sys.modules[_USAGE_DATA] = before
