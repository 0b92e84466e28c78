"""Tensors by name from a file, safetensors or .pth, nothing in it ever run; and into a module, checked."""

import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from groundwork.errors import DataError, UsageError

NESTS = ("model_state_dict", "state_dict")  # keys under which training scripts keep the weights in a .pth
LISTED = 10  # names shown of each kind of fault: a file of another network would give hundreds


@dataclass(frozen=True, eq=False)
class WeightFile:
    """What a file of weights holds. `metadata` is the safetensors header's; a .pth has none."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_weights(path: Path) -> WeightFile:
    """Read safetensors, or a .pth that holds a state dict (or one under `model_state_dict`), to the CPU.

    The content tells which it is, not the suffix.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is neither, is cut off, or holds something else than tensors.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of weights; expected safetensors or .pth")
    with path.open("rb") as file:
        start = file.read(9)
    # safetensors: eight bytes of length, then JSON. Neither a zip nor a torch pickle has `{` in that place.
    return _read_safetensors(path) if start[8:] == b"{" else WeightFile(_read_pth(path), {})


def read_metadata(path: Path) -> dict[str, str]:
    """A safetensors header's metadata, the tensors unread; empty if it is a .pth. Raises as read_weights."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file of weights; expected safetensors or .pth")
    with path.open("rb") as file:
        start = file.read(9)
    return _read_safetensors(path, header_only=True).metadata if start[8:] == b"{" else {}


def load_checked(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    ignored: Sequence[str] = (),
    called: Callable[[str], str] = str,
) -> None:
    """Copy tensors into a module's parameters and buffers: all of them, or an error and none.

    Args:
        module: takes the values, in its own dtype and on its own device.
        tensors: by the file's names.
        where: the file, for the error.
        ignored: beginnings of the file's names that may be there and are not wanted (`classifier.`).
        called: a name of the module's to the file's; the same if not given.

    Raises:
        DataError: lists keys that are missing, unknown, misshapen or not finite, and negative variances, by the
            file's names, all in one line.
    """
    expected = {called(name): value for name, value in module.state_dict().items()}
    given = {name: value for name, value in tensors.items() if name in expected or not name.startswith(tuple(ignored))}
    # A counter that eval mode never reads; files from before PyTorch 0.4.1 have none.
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in given if name not in expected]
    known = {name: value for name, value in given.items() if name in expected}
    misfits = {name: _misfit(value, expected[name]) for name, value in known.items()}
    misshapen = [f"{name} {misfit}" for name, misfit in misfits.items() if misfit]
    fitting = {name: value for name, value in known.items() if not misfits[name]}
    infinite = [name for name, value in fitting.items() if not torch.isfinite(value.to(expected[name].dtype)).all()]
    negative = [name for name, value in fitting.items() if name.endswith("running_var") and (value < 0).any()]
    faults = [
        _listing(names, kind)
        for names, kind in (
            (missing, "missing"),
            (unknown, "unknown"),
            (misshapen, "misshapen"),
            (infinite, "with NaN or infinite values"),
            (negative, "with negative variances"),
        )
        if names
    ]
    if faults:
        raise DataError(f"{where}: the weights do not fit: {'; '.join(faults)}")
    own_names = {called(name): name for name in module.state_dict()}
    module.load_state_dict({own_names[name]: value for name, value in fitting.items()}, strict=False)


def _misfit(value: Tensor, expected: Tensor) -> str:
    if value.shape != expected.shape:
        return f"{tuple(value.shape)} instead of {tuple(expected.shape)}"
    if value.layout != torch.strided or value.is_floating_point() != expected.is_floating_point():
        return f"{value.dtype} instead of {expected.dtype}"
    return ""


def _listing(names: Sequence[str], kind: str) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)} {kind} ({', '.join(names[:LISTED])}{more})"


def _read_safetensors(path: Path, *, header_only: bool = False) -> WeightFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = [] if header_only else list(file.keys())
            return WeightFile({name: file.get_tensor(name) for name in names}, dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a whole safetensors file ({_first_line(error)})") from None


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        # Odd pickles are warned about; what comes of them is checked below. By its name, torch would go by the suffix.
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: not a file of weights, or one that holds more than tensors; nothing in it was run. "
            "Expected safetensors or a plain state dict"
        ) from None
    except Exception as error:  # the unpickler meets cut or foreign bytes with whatever its next step raises
        raise DataError(f"{path}: not a whole file of weights ({_first_line(error)})") from None
    return _state_dict(content, path)


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict):
        content = next((content[nest] for nest in NESTS if nest in content), content)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected a state dict (names to tensors), got {type(content).__name__}")
    odd = [str(name) for name, value in content.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if odd:
        raise DataError(f"{path}: expected a state dict of tensors only; {_listing(odd, 'other entries')}")
    return dict(content)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
