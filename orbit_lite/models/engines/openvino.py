"""The engine `openvino`: Intel's runtime, which fuses layers and selects kernels by processor, also on AMD and Arm.

It always computes in float32: by default it would use bfloat16 if the processor supports it, which changes the
features. The runtime reads the network as ONNX, because its converter sends usage data. Its features are compared with
PyTorch's before it is used.
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
_TOLERANCE = 1e-4  # of the features' standard deviation; up to 3e-5 was measured


@dataclass(frozen=True)
class OpenVinoEngine:
    """See the module."""

    name: str = "openvino"

    @property
    def chunks_at_once(self) -> int:
        """See Engine: one chunk per thread."""
        return torch.get_num_threads()

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """See Engine. It uses as many threads as torch does now. The encoder can be called from several threads; their
        chunks take turns, and each part starts as soon as a request is free."""
        _require_cpu(extractor)
        _require_installed()
        noise, expected = _by_torch(extractor, state)
        if not expected.isfinite().all():
            # The weights have diverged. OpenVINO's ReLU of NaN is 0, which would hide the NaN from later checks.
            return FoldedEngine().encoder(extractor, state)
        was_kept = graph_file(extractor).exists()
        try:
            return _agreeing(extractor, state, noise, expected)
        except EngineFails:
            if not was_kept:
                raise
            _LOG.debug("%s: the graph may be wrong and is made again", graph_file(extractor), exc_info=True)
            return _agreeing(extractor, state, noise, expected, rebuild=True)


def _agreeing(
    extractor: Extractor, state: ExtractorState | None, noise: Tensor, expected: Tensor, *, rebuild: bool = False
) -> Encoder:
    threads = torch.get_num_threads()
    with torch.autocast("cpu", enabled=False):  # otherwise its casts would become part of the graph
        model = _compiled(extractor, state, threads, rebuild=rebuild)
    idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
    for _ in range(threads):
        idle.put(model.create_infer_request())
    in_turn = threading.Lock()  # otherwise two callers could wait for each other's requests

    def encode(frames: Tensor) -> Tensor:
        pixels = frames.cpu().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        busy: deque[tuple[openvino.InferRequest, Tensor]] = deque()  # with its input, which it reads while it runs
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
            for request, _ in busy:  # after an error: finish them, so that nobody waits forever
                with suppress(Exception):
                    request.wait()
                idle.put(request)
        return torch.cat(found)

    off = (encode(noise) - expected).abs().max()
    if not off <= _TOLERANCE * expected.std():
        raise EngineFails(
            f"{extractor.backbone.name}: features differ by {float(off / expected.std()):.1g} of their standard "
            f"deviation; expected at most {_TOLERANCE:g}"
        )
    return encode


def _by_torch(extractor: Extractor, state: ExtractorState | None) -> tuple[Tensor, Tensor]:
    """Noise frames and their features by PyTorch."""
    size_px, draw = extractor.frame_size_px, torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (2, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return noise, FoldedEngine().encoder(extractor, state)(noise)


def _require_cpu(extractor: Extractor) -> None:
    if extractor.mean.device.type != "cpu":
        raise EngineFails(f"it computes on the CPU, but the recognizer is on {extractor.mean.device}")
    if extractor.mean.dtype != torch.float32:
        raise EngineFails(
            f"it computes in float32, but the network is in {str(extractor.mean.dtype).removeprefix('torch.')}"
        )


def _require_installed() -> None:
    try:
        _core()
    except ModuleNotFoundError as error:
        raise EngineFails(f"{error.name} is not installed; pip install {error.name}") from None
    except Exception as error:
        raise EngineFails(f"openvino can't be loaded: {error}") from error


def _compiled(
    extractor: Extractor, state: ExtractorState | None, threads: int, *, rebuild: bool
) -> "openvino.CompiledModel":
    try:
        core = _core()
        graph = encoding_model(extractor, state, rebuild=rebuild)
        model = _takes_pixels_as_decoded(core.read_model(graph.SerializeToString()))
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            # Each thread has its own frames: threads that share a frame wait for each other at every layer, and so for
            # any other process that uses one of the cores, such as one that decodes.
            "NUM_STREAMS": threads,
        }
        return core.compile_model(model, "CPU", settings)
    except ModuleNotFoundError as error:
        raise EngineFails(f"{error.name} is not installed; pip install {error.name}") from None
    except Exception as error:  # exporter and runtime raise errors of many types
        reason = str(error).strip().splitlines()
        raise EngineFails(f"{extractor.backbone.name} can't be compiled: {reason[0] if reason else error!r}") from error


def _takes_pixels_as_decoded(model: "openvino.Model") -> "openvino.Model":
    """The same model for frames (n, s, s, 3), which saves copying each decoded frame."""
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
    """Import openvino inside this context. Importing openvino (2026.4) sends usage data and writes a file into the
    user's home directory, unless its telemetry package is missing."""
    before = sys.modules.get(_USAGE_DATA)
    sys.modules[_USAGE_DATA] = None  # type: ignore[assignment]  # pretend that it is not installed
    try:
        yield
    finally:
        del sys.modules[_USAGE_DATA]
        if before is not None:
            sys.modules[_USAGE_DATA] = before
