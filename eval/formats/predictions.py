"""Predictions, a row a frame, and their file: predictions.parquet."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eval.formats.reading import parse_object, require_file
from groundwork.errors import FoundWrong
from groundwork.files import whole_file

PREDICTIONS_SCHEMA = 1
KIND = "predictions"

# `frame` is the number in the file's name, from 1; `prediction` an index into the task's objects; `confidence` the
# softmax of the predicted class.
PREDICTION_COLUMNS = pa.schema(
    [
        pa.field("user", pa.string(), nullable=False),
        pa.field("task", pa.int32(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("prediction", pa.int32(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
    ]
)


def require_columns(table: pd.DataFrame, *, source: str) -> None:
    """Raise FoundWrong unless a table has exactly the columns of PREDICTION_COLUMNS, and numbers where they belong."""
    expected = PREDICTION_COLUMNS.names
    if sorted(map(str, table.columns)) != sorted(expected):
        raise FoundWrong(f"{source}: columns {', '.join(map(str, table.columns))}; expected {', '.join(expected)}")
    for field in PREDICTION_COLUMNS:
        kinds = "iu" if pa.types.is_integer(field.type) else "f" if pa.types.is_floating(field.type) else ""
        dtype = table[field.name].dtype
        if kinds and dtype.kind not in kinds:
            raise FoundWrong(f"{source}: column {field.name} is {dtype}; {field.type} expected")


def write_predictions(path: Path, table: pd.DataFrame, *, metadata: Mapping[str, str]) -> None:
    """Write predictions.parquet, whole or not at all.

    Args:
        path: where to.
        table: exactly the columns of PREDICTION_COLUMNS, in any order; `user` and `video` as strings or categories.
        metadata: where the predictions come from: model, versions, seed, … It travels in the parquet's metadata.

    Raises:
        FoundWrong: if a column is missing, foreign, of another type, or has an empty place.
    """
    require_columns(table, source=str(path))
    columns = []
    for field in PREDICTION_COLUMNS:
        try:
            column = pa.Array.from_pandas(table[field.name]).cast(field.type)
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise FoundWrong(f"{path}: column {field.name} can't be written as {field.type} ({error})") from error
        if column.null_count:
            raise FoundWrong(f"{path}: column {field.name} has {column.null_count} empty places; none expected")
        columns.append(column)
    notes = {"kind": KIND, "schema": str(PREDICTIONS_SCHEMA), "provenance": json.dumps(dict(metadata))}
    content = pa.table(columns, schema=PREDICTION_COLUMNS.with_metadata(notes))
    with whole_file(path) as file:
        pq.write_table(content, file, compression="zstd", write_page_checksum=True)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.parquet: the columns of PREDICTION_COLUMNS, `user` and `video` as categories, to save memory.

    Raises:
        AskedWrong: if there is no such file.
        FoundWrong: if it is damaged, cut off, or no predictions file of this kit.
    """
    with _opened(path, read_dictionary=["user", "video"]) as file:
        _require_ours(path, file)
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise FoundWrong(f"{path}: damaged ({_first_line(error)}); delete it, then predict again") from error
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count:
            raise FoundWrong(f"{path}: column {name} has {column.null_count} empty places; none expected")
    frame: pd.DataFrame = table.unify_dictionaries().to_pandas()
    return frame


def read_predictions_metadata(path: Path) -> dict[str, str]:
    """Where the predictions in a file come from; raises as `read_predictions` does."""
    with _opened(path) as file:
        notes = _require_ours(path, file)
    provenance = parse_object(notes.get("provenance", "").encode(), f"{path}: provenance")
    if not all(isinstance(value, str) for value in provenance.values()):
        raise FoundWrong(f"{path}: provenance: strings expected")
    return provenance


def _opened(path: Path, *, read_dictionary: list[str] | None = None) -> pq.ParquetFile:
    require_file(path, "a predictions file (predictions.parquet)")
    with path.open("rb"):  # so that a file that may not be read is an OSError with its name
        pass
    try:
        return pq.ParquetFile(path, read_dictionary=read_dictionary, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise FoundWrong(
            f"{path}: not a whole parquet file ({_first_line(error)}); delete it, then predict again"
        ) from error


def _require_ours(path: Path, file: pq.ParquetFile) -> dict[str, str]:
    found = file.metadata.metadata or {}
    notes = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}
    if notes.get("kind") != KIND:
        raise FoundWrong(
            f"{path}: a parquet file, but no predictions of this kit; eval.formats.predictions.write_predictions "
            "writes them"
        )
    if notes.get("schema") != str(PREDICTIONS_SCHEMA):
        raise FoundWrong(
            f"{path}: predictions schema {notes.get('schema')!r}; this version reads schema {PREDICTIONS_SCHEMA}"
        )
    columns = pa.schema([field.with_type(_plain(field.type)) for field in file.schema_arrow])
    if not columns.equals(PREDICTION_COLUMNS):
        names = ", ".join(f"{field.name} {field.type}" for field in columns)
        raise FoundWrong(
            f"{path}: columns {names}; expected {', '.join(PREDICTION_COLUMNS.names)} as written by this kit"
        )
    return notes


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
