"""What the files of one user's recognizer are called; light to import, for the command line."""

from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import UsageError

SUFFIX = ".safetensors"
CSV_NAME = "participants.csv"
EXPORT_SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript", "torch-export": ".pt2"}  # by format


def targets(folders: Sequence[Path], out: Path) -> list[Path]:
    """The file of each user: `out` itself for one, files in the folder `out`, named as the users' folders, for several.

    Raises:
        UsageError: if two folders have one name, or `out` is in the way.
    """
    if len(folders) == 1:
        return [out]
    names = [user_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"two of the folders are named {twice[0]}: their recognizers would have one name; rename one")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a file; for several users --out takes a folder")
    return [out / f"{name}{SUFFIX}" for name in names]


def user_name(path: Path) -> str:
    """The name that a user's folder, archive or file gives."""
    return path.resolve().name.removesuffix(".zip").removesuffix(SUFFIX)


def export_path(file: Path, *, format: str, int8: bool) -> Path:
    """Where a recognizer is exported to if nothing else is asked for: beside its file."""
    return file.with_suffix(f".int8{EXPORT_SUFFIXES[format]}" if int8 else EXPORT_SUFFIXES[format])
