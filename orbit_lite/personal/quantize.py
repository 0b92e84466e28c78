"""8-bit ONNX: the network's weights and activations in 8 bits, scaled by a user's own frames; the head stays float."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from groundwork.progress import Progress
from orbit_lite.personal.formats import Frames, onnx_model
from orbit_lite.personal.graph import FEATURES, INPUT, OUTPUTS, PersonalGraph

if TYPE_CHECKING:
    import onnx

IN_8_BITS = ["Conv", "MatMul", "Gemm"]  # where time and bytes go; norms, SiLU and softmax suffer, and stay float


def quantized_model(graph: PersonalGraph, example: Tensor, frames: Frames) -> "onnx.ModelProto":
    """The graph in ONNX, its network in 8 bits.

    Weights have a scale for each output channel, activations one for each tensor, from the least and most value that
    the frames give.

    Args:
        graph: in float.
        example: as for Format.write.
        frames: what the graph takes, one or more.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    with TemporaryDirectory() as folder, Progress("frames", len(frames)) as progress:
        whole, prepared, small = (str(Path(folder) / name) for name in ("whole.onnx", "prepared.onnx", "small.onnx"))
        network = onnx_model(graph.features, example, takes=INPUT, gives=[FEATURES])
        onnx.save(network, whole)
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)  # folds norms into convolutions
        quantize_static(
            prepared,
            small,
            _Reader(frames, progress),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=IN_8_BITS,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        network = onnx.load(small)
    with torch.no_grad():
        width = graph.features(example).shape[1]
    answers = onnx_model(graph.answers, torch.zeros(2, width), takes=FEATURES, gives=OUTPUTS)
    network = onnx.compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    answers.ir_version = network.ir_version = max(answers.ir_version, network.ir_version)
    merged: onnx.ModelProto = onnx.compose.merge_models(network, answers, io_map=[(FEATURES, FEATURES)])
    return merged


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
