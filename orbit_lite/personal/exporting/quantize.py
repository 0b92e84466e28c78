"""8-bit ONNX: quantizes the network's weights and activations, scaled by a user's own frames; the head stays float.

Two methods find the range of an activation, and which is better depends on the network. Both are tried, and the one
with features closer to the float ones is used, judged on other frames.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundwork.progress import Progress
from orbit_lite.models.engines.onnx_graph import onnx_model
from orbit_lite.personal.exporting.formats import Frames
from orbit_lite.personal.exporting.graph import FEATURES, INPUT, OUTPUTS, FeatureGraph, PersonalGraph

if TYPE_CHECKING:
    import onnx

# The operations that take the time and the bytes; norms and SiLU stay float. Clip is ReLU6: a convolution before it is
# then scaled by the range that Clip passes, which cuts the squared error of EfficientNet-Lite0's features to a third
# (pretrained, on photos).
IN_8_BITS = ["Conv", "MatMul", "Gemm", "Clip"]
# The range of an activation: from the lowest to the highest value of all frames, or between the means of each frame's
# lowest and highest value, which is better if a few frames are far outside the others' range (EfficientNet-B0).
RANGES: dict[str, dict[str, bool]] = {"widest": {}, "mean": {"CalibMovingAverage": True}}
CHUNK_FRAMES = 8


def quantized_model(graph: PersonalGraph, example: Tensor, scaling: Frames, judging: Frames) -> "onnx.ModelProto":
    """The graph in ONNX, with its network in 8 bits.

    Weights have one scale per output channel, activations one per tensor.

    Args:
        graph: the graph in float.
        example: as for Format.write.
        scaling: frames, in the graph's input format, that set the ranges.
        judging: other frames, which decide between the two ways of setting ranges.
    """
    import onnx

    network = _quantized_network(graph.features, example, scaling, judging)
    width = network.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    answers = onnx_model(graph.answers, torch.zeros(2, width), takes=FEATURES, gives=OUTPUTS)
    network = onnx.compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    answers.ir_version = network.ir_version
    merged: onnx.ModelProto = onnx.compose.merge_models(network, answers, io_map=[(FEATURES, FEATURES)])
    return merged


def _quantized_network(network: FeatureGraph, example: Tensor, scaling: Frames, judging: Frames) -> "onnx.ModelProto":
    with _global_state_restored():
        return _quantized(network, example, scaling, judging)


def _quantized(network: FeatureGraph, example: Tensor, scaling: Frames, judging: Frames) -> "onnx.ModelProto":
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    with torch.no_grad():
        own = torch.cat([network(chunk) for chunk in torch.from_numpy(judging).split(CHUNK_FRAMES)]).numpy()
    found: dict[float, onnx.ModelProto] = {}
    with TemporaryDirectory() as folder, Progress("frames", len(RANGES) * len(scaling)) as progress:
        whole, prepared, small = (str(Path(folder) / name) for name in ("whole.onnx", "prepared.onnx", "small.onnx"))
        onnx.save(onnx_model(network, example, takes=INPUT, gives=[FEATURES]), whole)
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)  # folds norms into convolutions
        for options in RANGES.values():
            quantize_static(
                prepared,
                small,
                _Reader(scaling, progress),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=IN_8_BITS,
                per_channel=True,
                # 7 bits for weights: with 8, x86 processors without VNNI overflow. On the pocket set, `tiny` then gave
                # another answer for 5 to 9 % of the frames, instead of 1 %.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                reduce_range=True,
                extra_options=options,
            )
            found[float(np.square(_features(small, judging) - own).mean())] = onnx.load(small)
    return found[min(found)]


def _features(path: str, frames: Frames) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    starts = range(0, len(frames), CHUNK_FRAMES)
    return np.concatenate([session.run(None, {INPUT: frames[start : start + CHUNK_FRAMES]})[0] for start in starts])


@contextmanager
def _global_state_restored() -> Iterator[None]:
    """Undo that onnxruntime's quantization adds a folder to the import path and a handler to the root logger."""
    path, handlers = list(sys.path), list(logging.root.handlers)
    try:
        yield
    finally:
        sys.path[:] = path
        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)


class _Reader:
    """Gives onnxruntime one frame at a time, through the method that it expects."""

    def __init__(self, frames: Frames, progress: Progress) -> None:
        self._frames: Iterator[Any] = iter(frames)
        self._progress = progress

    def get_next(self) -> dict[str, Any] | None:
        """The next frame, by the input's name; None after the last."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        self._progress.advance()
        return {INPUT: frame[None]}
