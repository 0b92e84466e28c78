"""8-bit ONNX: the network's weights and activations in 8 bits, scaled by a user's own frames; the head stays float.

What suits one network spoils another, so both ways to find the range of an activation are tried, and the one whose
features are nearer to the float ones is taken: on frames that were not used to find it.
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

# Where time and bytes go; norms and SiLU stay float. Clip is ReLU6: a convolution before one is then scaled by what it
# lets through, which cuts the squared error of EfficientNet-Lite0's features to a third (pretrained, on photos).
IN_8_BITS = ["Conv", "MatMul", "Gemm", "Clip"]
# The range of an activation: from the least to the most value of all frames; or the mean of each frame's least and
# most, which is better where a few frames go far beyond the others (EfficientNet-B0).
RANGES: dict[str, dict[str, bool]] = {"widest": {}, "mean": {"CalibMovingAverage": True}}
CHUNK_FRAMES = 8


def quantized_model(graph: PersonalGraph, example: Tensor, scaling: Frames, judging: Frames) -> "onnx.ModelProto":
    """The graph in ONNX, its network in 8 bits.

    Weights have a scale for each output channel, activations one for each tensor.

    Args:
        graph: in float.
        example: as for Format.write.
        scaling: frames as the graph takes them, by which the ranges are found.
        judging: others, by which the better ranges are chosen.
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
    with _left_as_it_was():
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
                # 7 bits for weights: with 8, x86 processors without VNNI overflow. On the pocket set `tiny` then gave
                # another answer on 5 to 9 % of the frames, against 1 %.
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
def _left_as_it_was() -> Iterator[None]:
    """onnxruntime's quantization adds a folder to the import path, and a handler to the root logger."""
    path, handlers = list(sys.path), list(logging.root.handlers)
    try:
        yield
    finally:
        sys.path[:] = path
        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)


class _Reader:
    """Frames, one at a time, as onnxruntime asks for them."""

    def __init__(self, frames: Frames, progress: Progress) -> None:
        self._frames: Iterator[Any] = iter(frames)
        self._progress = progress

    def get_next(self) -> dict[str, Any] | None:
        """The next frame by the input's name, None after the last."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        self._progress.advance()
        return {INPUT: frame[None]}
