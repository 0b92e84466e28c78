"""The formats of `export`: each writes a graph to the bytes of one file, and opens such a file to run it."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundwork.errors import UsageError
from orbit_lite.models.engines.onnx_graph import onnx_model, quiet, traced
from orbit_lite.personal.exporting.graph import INPUT, OUTPUTS
from orbit_lite.personal.file_names import EXPORT_SUFFIXES

if TYPE_CHECKING:
    import onnx

Texts = Mapping[str, str]  # a file's metadata: ONNX metadata, or PyTorch's extra files
Frames = NDArray[np.uint8] | NDArray[np.float32]  # (n, 3, s, s)
Answers = tuple[NDArray[np.float32], ...]  # in the order of OUTPUTS


@dataclass(frozen=True)
class Opened:
    """An exported file, read back. `run` uses as many threads as torch."""

    run: Callable[[Frames], Answers]
    texts: Texts


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    runtime: the software that runs such a file, in words. channels_last: see FeatureGraph. write: takes a module of one
    input, example frames (two, of zeros) and metadata, and returns the file's bytes. open: takes a file and the names
    of the metadata to read.
    """

    suffix: str
    runtime: str
    channels_last: bool
    write: Callable[[nn.Module, Tensor, Texts], bytes]
    open: Callable[[Path, Sequence[str]], Opened]


def require_onnx() -> None:
    """Check that the packages for the ONNX format are installed.

    Raises:
        UsageError: if one is missing, with the command that installs it.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(name)
        except ModuleNotFoundError:
            raise UsageError(f"--format onnx: {name} is not installed; pip install 'orbit-lite[export]'") from None


def onnx_bytes(model: "onnx.ModelProto", texts: Texts) -> bytes:
    """A model's bytes, with `texts` in place of the exporters' own metadata."""
    import onnx

    onnx.helper.set_model_props(model, dict(texts))
    content: bytes = model.SerializeToString()
    return content


def _write_onnx(module: nn.Module, example: Tensor, texts: Texts) -> bytes:
    return onnx_bytes(onnx_model(module, example, takes=INPUT, gives=OUTPUTS), texts)


def _open_onnx(path: Path, names: Sequence[str]) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # otherwise its idle threads keep spinning for a while and slow down what is timed next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    return Opened(lambda frames: tuple(session.run(OUTPUTS, {INPUT: frames})), {name: found[name] for name in names})


def _write_torchscript(module: nn.Module, example: Tensor, texts: Texts) -> bytes:
    written, kept = io.BytesIO(), io.BytesIO()
    try:
        with quiet():
            torch.jit.save(torch.jit.trace(module, (example,)), written, _extra_files=dict(texts))
    except (AttributeError, RuntimeError) as error:  # deprecated since PyTorch 2.11, and not supported on Python 3.14
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"--format torchscript: PyTorch {torch.__version__} can't write it ({reason}); use --format torch-export"
        ) from None
    with zipfile.ZipFile(written) as found, zipfile.ZipFile(kept, "w") as copy:
        for entry in found.infolist():
            if not entry.filename.endswith(".debug_pkl"):  # contains file names of the machine that made it
                copy.writestr(entry, found.read(entry))
    return kept.getvalue()


def _open_torchscript(path: Path, names: Sequence[str]) -> Opened:
    texts = dict.fromkeys(names, "")
    with quiet():
        module = torch.jit.load(path, _extra_files=texts)
    return Opened(_run_module(module), _decoded(texts))


def _write_torch_export(module: nn.Module, example: Tensor, texts: Texts) -> bytes:
    written = io.BytesIO()
    with quiet():
        torch.export.save(traced(module, example), written, extra_files=dict(texts))
    return written.getvalue()


def _open_torch_export(path: Path, names: Sequence[str]) -> Opened:
    texts = dict.fromkeys(names, "")
    with quiet(), path.open("rb") as file:
        module = torch.export.load(file, extra_files=texts).module()
    return Opened(_run_module(module), _decoded({name: texts[name] for name in names}))


FORMATS: dict[str, Format] = {
    "onnx": Format(EXPORT_SUFFIXES["onnx"], "onnxruntime", False, _write_onnx, _open_onnx),
    "torchscript": Format(EXPORT_SUFFIXES["torchscript"], "TorchScript", True, _write_torchscript, _open_torchscript),
    "torch-export": Format(
        EXPORT_SUFFIXES["torch-export"], "torch.export", True, _write_torch_export, _open_torch_export
    ),
}


def _run_module(module: nn.Module) -> Callable[[Frames], Answers]:
    def run(frames: Frames) -> Answers:
        with torch.inference_mode():
            return tuple(output.numpy() for output in module(torch.from_numpy(frames)))

    return run


def _decoded(texts: Mapping[str, str | bytes]) -> dict[str, str]:
    return {name: text if isinstance(text, str) else text.decode() for name, text in texts.items()}
