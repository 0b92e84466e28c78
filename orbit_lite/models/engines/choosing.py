"""Which engine a piece of work is done by: the one asked for, or the quicker one by what was measured on this machine.

PyTorch starts at once; OpenVINO is up to three times as fast, but takes half a second to prepare, and much longer the
first time that it meets a network, when its graph is made. Where work would take PyTorch a while, both are measured:
once for a network, processor and number of threads, which is kept in the user's cache.
"""

import hashlib
import logging
import platform
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import torch

from groundwork.cache import cache_base
from groundwork.files import write_json
from groundwork.strict_json import parse_json
from orbit_lite.models.engines import DEFAULT_ENGINE, ENGINES, find_engine
from orbit_lite.models.engines.encoder import Encoder, Engine, EngineFails
from orbit_lite.models.engines.onnx_graph import graph_file
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.recognizer import Recognizer

_LOG = logging.getLogger("orbit_lite")

WORTH_MEASURING_S = 30.0  # of PyTorch's time: about twice what measuring both takes
_OTHER = ENGINES["openvino"]
_REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """One network on one machine. torch, openvino: frames a second; 0.0 where it can't run. prepare_s: of openvino,
    for each state of the extractor, its graph being there."""

    torch: float
    openvino: float
    prepare_s: float

    def quicker(self, *, frames: int, states: int) -> Engine:
        """The engine that has encoded so many frames first, shared out over so many states of the extractor."""
        if self.openvino <= 0:
            return DEFAULT_ENGINE
        by_other = states * self.prepare_s + frames / self.openvino
        return _OTHER if by_other < frames / self.torch else DEFAULT_ENGINE


def settle_engine(
    recognizer: Recognizer, asked: str | None, *, frames: int, states: int = 1, measure: bool = True
) -> str:
    """Let a recognizer encode by the engine asked for, or by the quicker one; call it before the work.

    Args:
        recognizer: on the device that is to compute.
        asked: an engine's name; None for the quicker one.
        frames: about how many it will encode.
        states: for how many support sets, where the learner adapts its extractor.
        measure: whether there is time to measure what was not measured before.

    Returns:
        the engine's name.

    Raises:
        UsageError: for an unknown name.
        EngineFails: if the engine asked for can't run here, or not this network.
    """
    if asked is None:
        states = 1 if recognizer.shares_features else states
        recognizer.engine = _quicker(recognizer, frames=frames, states=states, measure=measure)
        return recognizer.engine.name
    before, recognizer.engine = recognizer.engine, find_engine(asked)
    try:
        recognizer.encoder().prepare()
    except EngineFails as error:
        recognizer.engine = before
        raise EngineFails(f"--engine {asked}: {error}. Leave --engine out, or use --engine torch.") from error
    return asked


def _quicker(recognizer: Recognizer, *, frames: int, states: int, measure: bool) -> Engine:
    extractor = recognizer.extractor
    on_cpu = extractor.mean.device.type == "cpu" and extractor.mean.dtype == torch.float32
    if not on_cpu or not all(map(find_spec, ("openvino", "onnx", "onnxscript"))):
        return DEFAULT_ENGINE
    file = _file(extractor)
    measured = _read(file)
    if measured is None and not measure:
        return DEFAULT_ENGINE
    if measured is None:
        chunk = recognizer.chunks.no_graph
        ours = _frames_per_s(DEFAULT_ENGINE.encoder(extractor, None), extractor, chunk)
        if frames / ours < WORTH_MEASURING_S:
            return DEFAULT_ENGINE
        measured = _measure(extractor, ours, chunk)
        try:
            write_json(file, asdict(measured))
        except OSError:  # measured again next time
            _LOG.debug("%s: can't be written", file, exc_info=True)
    return measured.quicker(frames=frames, states=states)


def _measure(extractor: Extractor, ours: float, chunk: int) -> Measured:
    _LOG.info("choosing an engine for %s, once on this machine; it takes up to half a minute", extractor.backbone.name)
    try:
        _OTHER.encoder(extractor, None)  # makes the graph
        started = time.monotonic()
        encoder = _OTHER.encoder(extractor, None)
        prepare_s = time.monotonic() - started
    except EngineFails as error:
        _LOG.info("engine torch: openvino can't be used: %s", error)
        return Measured(ours, 0.0, 0.0)
    theirs = _frames_per_s(encoder, extractor, chunk)
    _LOG.info("frames a second: engine torch %.3g, engine openvino %.3g", ours, theirs)
    return Measured(ours, theirs, prepare_s)


def _frames_per_s(encoder: Encoder, extractor: Extractor, chunk: int) -> float:
    """The most that repeated runs on one chunk gave."""
    size_px, draw = extractor.frame_size_px, torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (chunk, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    seconds = []
    for _ in range(_REPEATS):
        started = time.monotonic()
        with torch.no_grad():
            encoder(noise)
        seconds.append(time.monotonic() - started)
    return chunk / max(min(seconds[1:]), 1e-9)  # the first prepares


def _file(extractor: Extractor) -> Path:
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    capability = torch.backends.cpu.get_cpu_capability()
    facts = [processor, capability, str(torch.get_num_threads()), metadata.version("openvino")]
    key = hashlib.sha256("\n".join([*facts, graph_file(extractor).stem]).encode()).hexdigest()[:24]
    return cache_base() / "engines" / f"{key}.json"


def _read(file: Path) -> Measured | None:
    try:
        found = Measured(**{name: float(value) for name, value in parse_json(file.read_bytes()).items()})
    except (OSError, ValueError, TypeError, AttributeError):  # none, or something else: measured again
        return None
    return found if found.torch > 0 else None
