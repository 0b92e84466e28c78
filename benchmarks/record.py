"""Shows comparisons as a table and writes them as CSV, with the hardware and versions."""

import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch

from benchmarks.measure import Comparison
from groundwork.files import csv_text, write_bytes, write_text
from groundwork.pages.table import Column, Columns, Table
from orbit_lite.runs.folder import versions

WORDS, NUMBERS = ("setting", "metric", "unit", "side"), ("median", "least", "most", "ratio")  # columns of the table
MODEL_LETTERS = 32
# Parts of processor names that are not the model.
_NOT_THE_MODEL = r"\((r|tm)\)|\bcpu\b|\bprocessor\b|\b\w+-core\b|@.*"


def hardware(*, gpu: bool = False) -> str:
    """The hardware as part of a file name, with cores and processor, such as `2-core-amd-epyc`; never the host name.
    `gpu`: name the GPU instead, such as `nvidia-h100-pcie`."""
    return _slug(torch.cuda.get_device_name()) if gpu else hardware_name(os.cpu_count() or 1, _processor())


def hardware_name(cores: int, processor: str) -> str:
    """The same, given cores and processor.

    >>> hardware_name(8, "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz")
    '8-core-intel-xeon-platinum-8488c'
    """
    return f"{cores}-core-{_slug(re.sub(_NOT_THE_MODEL, ' ', processor.lower())) or 'cpu'}"


def comparison_table(caption: str, comparisons: Sequence[Comparison]) -> Table:
    """Two rows per comparison, one per side; `ratio` and its target refer to the row above."""
    columns: Columns = (*WORDS, *(Column(name, _readable, "right") for name in NUMBERS))
    rows = tuple(tuple(row[column] for column in (*WORDS, *NUMBERS)) for row in _rows(comparisons))
    if _have_bars(comparisons):
        columns = (*columns, "bar")
        bars = [bar for comparison in comparisons for bar in ("", _bar_in_words(comparison))]
        rows = tuple((*row, bar) for row, bar in zip(rows, bars, strict=True))
    return Table(caption, columns, rows)


def write_csv(folder: Path, benchmark: str, comparisons: Sequence[Comparison], *, gpu: bool = False) -> Path:
    """Write `FOLDER/BENCHMARK-HARDWARE.csv` atomically, one row per side; returns its path."""
    found = {**versions(), "pillow": metadata.version("pillow")}
    where = hardware(gpu=gpu)
    named = [{"benchmark": benchmark, **row, "hardware": where, **found} for row in _rows(comparisons)]
    lines = [[f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in named]
    path = folder / f"{benchmark}-{where}.csv"
    write_text(path, csv_text(list(named[0]), lines))
    return path


def write_csv_and_svg(folder: Path, name: str, table: str, plot: bytes) -> list[Path]:
    """Write a study's `FOLDER/NAME.csv` and `FOLDER/NAME.svg`, each atomically; returns their paths."""
    paths = [folder / f"{name}.csv", folder / f"{name}.svg"]
    write_text(paths[0], table)
    write_bytes(paths[1], plot)
    return paths


def _rows(comparisons: Sequence[Comparison]) -> list[dict[str, str | int | float]]:
    with_bars = _have_bars(comparisons)
    return [
        {
            "setting": comparison.setting,
            "side": side,
            "metric": comparison.metric,
            "unit": comparison.unit,
            "median": spread.median,
            "least": spread.least,
            "most": spread.most,
            "repeats": spread.repeats,
            "ratio": ratio,
            **({"at_most": bar} if with_bars else {}),
            "threads": comparison.threads,
        }
        for comparison in comparisons
        for (side, spread), ratio, bar in (
            (comparison.first, 1.0, ""),
            (comparison.second, comparison.ratio, "" if comparison.at_most is None else comparison.at_most),
        )
    ]


def _have_bars(comparisons: Sequence[Comparison]) -> bool:
    return any(comparison.at_most is not None for comparison in comparisons)


def _bar_in_words(comparison: Comparison) -> str:
    if comparison.at_most is None:
        return ""
    return f"at most {comparison.at_most:g}: {'met' if comparison.ratio <= comparison.at_most else 'missed'}"


def _readable(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _slug(model: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")
    if len(slug) > MODEL_LETTERS:
        slug = slug[: MODEL_LETTERS + 1].rpartition("-")[0] or slug[:MODEL_LETTERS]
    return slug


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = re.findall(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        return names[0] if names else platform.machine()
    return platform.processor()
