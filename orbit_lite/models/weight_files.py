"""Reads tensors from safetensors or .pth files without running any code in them, and loads them into modules with
checks."""

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

NESTS = ("model_state_dict", "state_dict")  # keys under which training scripts store the weights in a .pth
LISTED = 10  # the most names listed per kind of mismatch; another network's file has hundreds


@dataclass(frozen=True, eq=False)
class WeightFile:
    """The content of a file of weights. `metadata` is from the safetensors header; a .pth has none."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_weights(path: Path) -> WeightFile:
    """Read safetensors, or a .pth with a state dict (possibly under `model_state_dict`), to the CPU.

    The format is detected from the content, not from the suffix.

    Raises:
        UsageError: if there is no such file.
        DataError: if it has another format, is truncated, or holds anything other than tensors.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of weights; expected safetensors or .pth")
    with path.open("rb") as file:
        start = file.read(9)
    # safetensors has eight bytes of length, then JSON. Neither a zip nor a torch pickle has `{` at this position.
    return _read_safetensors(path) if start[8:] == b"{" else WeightFile(_read_pth(path), {})


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, without reading the tensors; empty for a .pth. For errors see
    read_weights."""
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
    """Copy tensors into a module's parameters and buffers; after an error the module is unchanged.

    Args:
        module: gets the values, in its own dtype and on its own device.
        tensors: the tensors by the file's names.
        where: the file's name, for the error message.
        ignored: prefixes of names in the file that are ignored (`classifier.`).
        called: translates the module's names to the file's; by default they are the same.

    Raises:
        DataError: lists, in one line and by the file's names, keys that are missing, unknown, of a wrong shape or not
            finite, and negative variances.
    """
    expected = {called(name): value for name, value in module.state_dict().items()}
    given = {name: value for name, value in tensors.items() if name in expected or not name.startswith(tuple(ignored))}
    # a counter that eval mode never reads; files from before PyTorch 0.4.1 don't have it
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
        raise DataError(f"{where}: the weights do not match: {'; '.join(faults)}")
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
        raise DataError(f"{path}: not a complete safetensors file ({_first_line(error)})") from None


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        # torch warns about unusual pickles; the result is checked below. Given a path, torch would rely on the suffix.
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: not a file of weights, or it holds more than tensors; no code in it was run. Expected "
            "safetensors or a plain state dict"
        ) from None
    except Exception as error:  # truncated or foreign bytes can cause any error in the unpickler
        raise DataError(f"{path}: not a complete file of weights ({_first_line(error)})") from None
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
