"""Predictions with one row per frame, and their file, predictions.parquet."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from eval.formats.answers import ANSWER, AnswersCurve
from eval.formats.reading import parse_object, require_file
from groundwork.errors import DataError
from groundwork.files import whole_file
from groundwork.strict_model import first_fault

PREDICTIONS_SCHEMA = 1
KIND = "predictions"

# `frame` is the number in the file's name, from 1; `prediction` is an index into the task's objects; `confidence` is
# the probability of the predicted class.
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
# Predictions by a personal file also have its answers, in the form of eval.formats.answer_text.
ANSWERED_COLUMNS = PREDICTION_COLUMNS.append(pa.field(ANSWER, pa.string(), nullable=False))
_FEW_TEXTS = ("user", "video", ANSWER)  # read as categories, to save memory
_CURVE = "answers_curve"  # a key of the file's metadata


def require_columns(table: pd.DataFrame, *, source: str) -> None:
    """Raise DataError unless a table has exactly the columns of PREDICTION_COLUMNS or ANSWERED_COLUMNS, with numbers in
    the numeric ones."""
    expected = columns_of(table).names
    if sorted(map(str, table.columns)) != sorted(expected):
        raise DataError(f"{source}: columns {', '.join(map(str, table.columns))}; expected {', '.join(expected)}")
    for field in columns_of(table):
        kinds = "iu" if pa.types.is_integer(field.type) else "f" if pa.types.is_floating(field.type) else ""
        dtype = table[field.name].dtype
        if kinds and dtype.kind not in kinds:
            raise DataError(f"{source}: column {field.name} is {dtype}; {field.type} expected")


def columns_of(table: pd.DataFrame) -> pa.Schema:
    """The columns that a table must have: ANSWERED_COLUMNS if it has answers, otherwise PREDICTION_COLUMNS."""
    return ANSWERED_COLUMNS if ANSWER in table.columns else PREDICTION_COLUMNS


def write_predictions(
    path: Path, table: pd.DataFrame, *, metadata: Mapping[str, str], curve: AnswersCurve | None = None
) -> None:
    """Write predictions.parquet atomically.

    Args:
        path: the file to write.
        table: exactly the columns of PREDICTION_COLUMNS or ANSWERED_COLUMNS, in any order; text as strings or
            categories.
        metadata: where the predictions come from (model, versions, seed, …), stored in the parquet's metadata.
        curve: the answers at every strictness of a personal file, also stored in the metadata.

    Raises:
        DataError: if a column is missing or unknown, has another type, or has empty cells.
    """
    require_columns(table, source=str(path))
    schema, columns = columns_of(table), []
    for field in schema:
        try:
            column = pa.Array.from_pandas(table[field.name]).cast(field.type)
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise DataError(f"{path}: column {field.name} can't be written as {field.type} ({error})") from error
        if column.null_count:
            raise DataError(f"{path}: column {field.name} has {column.null_count} empty cells; expected none")
        columns.append(column)
    notes = {"kind": KIND, "schema": str(PREDICTIONS_SCHEMA), "provenance": json.dumps(dict(metadata))}
    if curve is not None:
        notes[_CURVE] = curve.model_dump_json()
    content = pa.table(columns, schema=schema.with_metadata(notes))
    with whole_file(path) as file:
        pq.write_table(content, file, compression="zstd", write_page_checksum=True)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.parquet: the columns of PREDICTION_COLUMNS or ANSWERED_COLUMNS, text as categories to save
    memory.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is damaged, truncated, or not a predictions file of this kit.
    """
    with _opened(path) as file:
        _require_ours(path, file)
        texts = [name for name in _FEW_TEXTS if name in file.schema_arrow.names]
    with _opened(path, read_dictionary=texts) as file:
        try:
            table = file.read()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: damaged ({_first_line(error)}); delete it, then predict again") from error
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count:
            raise DataError(f"{path}: column {name} has {column.null_count} empty cells; expected none")
    frame: pd.DataFrame = table.unify_dictionaries().to_pandas()
    return frame


def read_predictions_metadata(path: Path) -> dict[str, str]:
    """Where the predictions in a file come from. For errors see `read_predictions`."""
    with _opened(path) as file:
        notes = _require_ours(path, file)
    provenance = parse_object(notes.get("provenance", "").encode(), f"{path}: provenance")
    if not all(isinstance(value, str) for value in provenance.values()):
        raise DataError(f"{path}: provenance: expected strings")
    return provenance


def read_answers_curve(path: Path) -> AnswersCurve | None:
    """The answers at every strictness, if the file has them, otherwise None. For errors see `read_predictions`."""
    with _opened(path) as file:
        text = _require_ours(path, file).get(_CURVE)
    if text is None:
        return None
    parse_object(text.encode(), f"{path}: {_CURVE}")
    try:
        return AnswersCurve.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise DataError(f"{path}: {_CURVE}, {first_fault(error, AnswersCurve)}") from error


def _opened(path: Path, *, read_dictionary: list[str] | None = None) -> pq.ParquetFile:
    require_file(path, "a predictions file (predictions.parquet)")
    with path.open("rb"):  # so that missing permission raises an OSError with the file's name
        pass
    try:
        return pq.ParquetFile(path, read_dictionary=read_dictionary, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a complete parquet file ({_first_line(error)}); delete it, then predict again"
        ) from error


def _require_ours(path: Path, file: pq.ParquetFile) -> dict[str, str]:
    found = file.metadata.metadata or {}
    notes = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}
    if notes.get("kind") != KIND:
        raise DataError(
            f"{path}: a parquet file, but not predictions of this kit; eval.formats.predictions.write_predictions "
            "writes these"
        )
    if notes.get("schema") != str(PREDICTIONS_SCHEMA):
        raise DataError(
            f"{path}: predictions schema {notes.get('schema')!r}; this version reads schema {PREDICTIONS_SCHEMA}"
        )
    columns = pa.schema([field.with_type(_plain(field.type)) for field in file.schema_arrow])
    expected = ANSWERED_COLUMNS if ANSWER in columns.names else PREDICTION_COLUMNS
    if not columns.equals(expected):
        names = ", ".join(f"{field.name} {field.type}" for field in columns)
        raise DataError(f"{path}: columns {names}; expected {', '.join(expected.names)} as written by this kit")
    return notes


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
