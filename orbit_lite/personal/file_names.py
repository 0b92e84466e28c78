"""Names of the files of one user's recognizer; quick to import, for the command line."""

from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import UsageError

SUFFIX = ".safetensors"
CSV_NAME = "participants.csv"
EXPORT_SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript", "torch-export": ".pt2"}  # by format


def targets(folders: Sequence[Path], out: Path) -> list[Path]:
    """The file of each user: `out` itself for one user; for several, files in the folder `out`, named after the users'
    folders.

    Raises:
        UsageError: if two folders have the same name, or `out` is a file.
    """
    if len(folders) == 1:
        return [out]
    names = [user_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(
            f"two of the folders are named {twice[0]}, so their recognizers would have the same name; rename one"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; for several users, --out takes a folder")
    return [out / f"{name}{SUFFIX}" for name in names]


def user_name(path: Path) -> str:
    """The user's name, from the name of a folder, archive or file."""
    return path.resolve().name.removesuffix(".zip").removesuffix(SUFFIX)


def export_path(file: Path, *, format: str, int8: bool) -> Path:
    """The default path of an export, beside the recognizer's file."""
    return file.with_suffix(f".int8{EXPORT_SUFFIXES[format]}" if int8 else EXPORT_SUFFIXES[format])
