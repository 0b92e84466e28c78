import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.formats.records import PREDICTION_COLUMNS, read_predictions, read_predictions_metadata, write_predictions
from groundwork.errors import DataError, UsageError

METADATA = {"model": "protonets", "note": 'with "quotes", ünïcode and\nlines'}


@pytest.fixture
def path(tmp_path, predictions):
    write_predictions(tmp_path / "predictions.parquet", predictions, metadata=METADATA)
    return tmp_path / "predictions.parquet"


def same(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    return all(
        first[name].tolist() == second[name].tolist() for name in PREDICTION_COLUMNS.names if name != "confidence"
    )


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_predictions_survive_write_and_read(tmp_path, predictions, kind):
    path = tmp_path / "predictions.parquet"
    table = predictions.astype({"user": kind, "video": kind})
    write_predictions(path, table[["confidence", *PREDICTION_COLUMNS.names[:-1]]], metadata=METADATA)
    back = read_predictions(path)
    assert list(back.columns) == PREDICTION_COLUMNS.names
    assert same(back, predictions)
    assert back["confidence"].tolist() == predictions["confidence"].astype(np.float32).tolist()
    assert read_predictions_metadata(path) == METADATA


def test_what_was_read_can_be_written_again_to_the_same_bytes(tmp_path, path):
    write_predictions(tmp_path / "again.parquet", read_predictions(path), metadata=METADATA)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_pandas_alone_reads_the_file(path, predictions):
    table = pd.read_parquet(path)
    assert list(table.columns) == PREDICTION_COLUMNS.names
    assert same(table, predictions)


def test_no_rows_survive_too(tmp_path, predictions):
    write_predictions(tmp_path / "none.parquet", predictions.iloc[:0], metadata={})
    assert len(read_predictions(tmp_path / "none.parquet")) == 0


def test_a_truncated_file_is_a_data_error(path):
    content = path.read_bytes()
    for length in [0, 3, *range(10, len(content), max(len(content) // 20, 1)), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"predictions\.parquet") as raised:
            read_predictions(path)
        assert "\n" not in str(raised.value)


def test_a_flipped_bit_never_changes_what_is_read(tmp_path, predictions):
    path = tmp_path / "predictions.parquet"
    rng = np.random.default_rng(0)
    many = pd.concat([predictions] * 100)
    many["confidence"] = rng.random(len(many))  # not compressible, so only a checksum detects changes
    write_predictions(path, many, metadata={})
    content, good, found = path.read_bytes(), read_predictions(path), 0
    for place in rng.integers(len(content), size=100):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert read_predictions(path).equals(good)  # a bit of the footer that does not affect the rows
        except DataError:
            found += 1
    assert found > 90


def test_foreign_files_are_a_data_error(tmp_path, path, predictions):
    foreign = tmp_path / "foreign.parquet"
    predictions.to_parquet(foreign)
    with pytest.raises(DataError, match="not predictions of this kit"):
        read_predictions(foreign)
    foreign.write_text("user,task\n")
    with pytest.raises(DataError, match="not a complete parquet file"):
        read_predictions(foreign)
    with pytest.raises(DataError, match="not a complete parquet file"):
        read_predictions_metadata(foreign)
    table = pq.read_table(path)
    notes = {**table.schema.metadata, b"schema": b"2"}
    pq.write_table(table.replace_schema_metadata(notes), foreign)
    with pytest.raises(DataError, match="schema '2'; this version reads schema 1"):
        read_predictions(foreign)
    pq.write_table(table.drop(["confidence"]), foreign)
    with pytest.raises(DataError, match=r"columns user string, .*expected"):
        read_predictions(foreign)
    wide = table.set_column(3, pa.field("frame", pa.int64(), nullable=False), table["frame"].cast(pa.int64()))
    pq.write_table(wide, foreign)
    with pytest.raises(DataError, match="frame int64"):
        read_predictions(foreign)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_predictions(tmp_path / "predictions.parquet")
    with pytest.raises(UsageError, match="a folder"):
        read_predictions_metadata(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.drop(columns="frame"), "columns"),
        (lambda table: table.assign(logit=0.0), "columns"),
        (lambda table: table.assign(prediction=table["prediction"] + 0.5), "column prediction is float64"),
        (lambda table: table.assign(confidence=1), "column confidence is int64"),
        (lambda table: table.assign(frame=2**40), "column frame can't be written as int32"),
        (lambda table: table.assign(user=None), "column user"),
        (lambda table: table.assign(user=pd.Series(["P\udce9"] * len(table), dtype=object)), "column user"),
        (lambda table: table.assign(confidence=np.nan), "column confidence has .* empty cells"),
    ],
)
def test_a_wrong_table_is_not_written(tmp_path, predictions, change, expected):
    with pytest.raises(DataError, match=expected):
        write_predictions(tmp_path / "predictions.parquet", change(predictions), metadata={})
    assert list(tmp_path.iterdir()) == []
