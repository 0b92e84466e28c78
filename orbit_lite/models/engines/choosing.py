"""Chooses the engine for a piece of work: the requested one, or the one measured to be faster on this machine.

PyTorch starts at once. OpenVINO is up to three times as fast, but takes half a second to prepare, and much longer the
first time for each network, when its graph is made. If the work would take PyTorch a while, both are measured, once per
network, processor and number of threads; the result is stored in the user's cache.
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

WORTH_MEASURING_S = 30.0  # of PyTorch's time; measuring both takes about half as long
_OTHER = ENGINES["openvino"]
_REPEATS = 3


@dataclass(frozen=True)
class EngineSpeeds:
    """One network's speed on one machine. torch, openvino: frames per second; 0.0 if the engine can't run. prepare_s:
    OpenVINO's preparation per state of the extractor, once its graph exists."""

    torch: float
    openvino: float
    prepare_s: float

    def faster(self, *, frames: int, states: int) -> Engine:
        """The engine that first finishes encoding this many frames, divided among this many states of the extractor."""
        if self.openvino <= 0:
            return DEFAULT_ENGINE
        by_other = states * self.prepare_s + frames / self.openvino
        return _OTHER if by_other < frames / self.torch else DEFAULT_ENGINE


def choose_engine(
    recognizer: Recognizer, asked: str | None, *, frames: int, states: int = 1, measure: bool = True
) -> str:
    """Set a recognizer's engine to the requested or the faster one; call this before the work.

    Args:
        recognizer: already on the device that computes.
        asked: an engine's name; None for the faster one.
        frames: about how many frames it will encode.
        states: the number of support sets, if the learner adapts its extractor.
        measure: whether to measure the engines if that was not done before.

    Returns:
        the engine's name.

    Raises:
        UsageError: for an unknown name.
        EngineFails: if the requested engine can't run here, or can't run this network.
    """
    if asked is None:
        states = 1 if recognizer.shares_features else states
        recognizer.engine = _choose_faster(recognizer, frames=frames, states=states, measure=measure)
        return recognizer.engine.name
    before, recognizer.engine = recognizer.engine, find_engine(asked)
    try:
        recognizer.encoder().prepare()
    except EngineFails as error:
        recognizer.engine = before
        raise EngineFails(f"--engine {asked}: {error}. Leave --engine out, or use --engine torch.") from error
    return asked


def _choose_faster(recognizer: Recognizer, *, frames: int, states: int, measure: bool) -> Engine:
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
        except OSError:  # it will be measured again next time
            _LOG.debug("%s: can't be written", file, exc_info=True)
    return measured.faster(frames=frames, states=states)


def _measure(extractor: Extractor, ours: float, chunk: int) -> EngineSpeeds:
    _LOG.info(
        "measuring the engines for %s, once on this machine; this takes up to half a minute", extractor.backbone.name
    )
    try:
        _OTHER.encoder(extractor, None)  # so that the graph exists
        started = time.monotonic()
        encoder = _OTHER.encoder(extractor, None)
        prepare_s = time.monotonic() - started
    except EngineFails as error:
        _LOG.info("engine torch: openvino can't be used: %s", error)
        return EngineSpeeds(ours, 0.0, 0.0)
    theirs = _frames_per_s(encoder, extractor, chunk)
    _LOG.info("frames per second: engine torch %.3g, engine openvino %.3g", ours, theirs)
    return EngineSpeeds(ours, theirs, prepare_s)


def _frames_per_s(encoder: Encoder, extractor: Extractor, chunk: int) -> float:
    """The highest speed of repeated runs on one chunk."""
    size_px, draw = extractor.frame_size_px, torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (chunk, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    seconds = []
    for _ in range(_REPEATS):
        started = time.monotonic()
        with torch.no_grad():
            encoder(noise)
        seconds.append(time.monotonic() - started)
    return chunk / max(min(seconds[1:]), 1e-9)  # the first run includes preparation


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


def _read(file: Path) -> EngineSpeeds | None:
    try:
        found = EngineSpeeds(**{name: float(value) for name, value in parse_json(file.read_bytes()).items()})
    except (OSError, ValueError, TypeError, AttributeError):  # missing or invalid: it will be measured again
        return None
    return found if found.torch > 0 else None
