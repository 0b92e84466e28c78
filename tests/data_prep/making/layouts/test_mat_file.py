import zlib

import numpy as np
import pytest
from scipy.io import savemat

from data_prep.making.layouts.bounded import exactly
from data_prep.making.layouts.mat_file import open_mat_array, read_mat_numbers
from groundwork.errors import DataError, KitError, UsageError


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, np.uint64])
def test_numbers_written_by_scipy_are_read(tmp_path, packed, dtype):
    path = tmp_path / "a.mat"
    numbers = np.arange(1, 200, dtype=dtype)[None]
    others = {"note": "text", "cell": np.array([[1, "a"]], object), "one": np.uint8([[3]])}
    savemat(path, others | {"labels": numbers}, do_compression=packed)
    assert read_mat_numbers(path, "labels", most=1000).tolist() == numbers[0].tolist()
    assert read_mat_numbers(path, "one", most=1).tolist() == [3]  # stored in its tag


@pytest.mark.parametrize("packed", [False, True])
def test_the_first_axis_is_fastest(tmp_path, packed):
    path, array = tmp_path / "a.mat", np.random.default_rng(0).integers(0, 256, (4, 5, 3, 7), dtype=np.uint8)
    savemat(path, {"X": array}, do_compression=packed)
    with open_mat_array(path, "X") as found:
        assert (found.shape, found.dtype) == (array.shape, np.uint8)
        content = exactly(found.reader, found.count)
    assert np.array_equal(np.frombuffer(content, np.uint8).reshape(array.shape, order="F"), array)


def test_invalid_files_are_rejected(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.ones((3, 3)), "y": np.array([[0.5, 1]]), "z": np.array([[1j]]), "w": [[np.inf]]})
    for name, most, message in (
        ("x", 9, r"shape \(3, 3\)"),
        ("y", 9, "values that are not whole numbers"),
        ("w", 9, "values that are not whole numbers"),
        ("y", 1, "at most 1 numbers"),
        ("z", 9, "no array of numbers named 'z'"),
        ("labels", 9, "no array of numbers named 'labels'; it has 'x, y, w'"),
    ):
        with pytest.raises(DataError, match=message):
            read_mat_numbers(path, name, most=most)
    for header, message in ((b"\x89HDF\r\n", "7.3"), (b"MATLAB 7.3 MAT-file", "7.3"), (bytes(200), "version 5")):
        path.write_bytes(header.ljust(200, b" "))
        with pytest.raises(UsageError, match=message):
            read_mat_numbers(path, "x", most=9)
    with pytest.raises(UsageError, match="no such file"):
        read_mat_numbers(tmp_path / "no.mat", "x", most=9)


@pytest.mark.parametrize("packed", [False, True])
def test_damage_anywhere_is_one_line_or_has_no_effect(tmp_path, packed):
    """Changes every byte of a small file in three ways, and cuts the file off there."""
    path = tmp_path / "a.mat"
    savemat(path, {"labels": np.arange(12)[None]}, do_compression=packed)
    whole = path.read_bytes()
    for place in range(120, len(whole)):
        for byte in (0, 255, whole[place] ^ 16, None):
            end = b"" if byte is None else bytes([byte]) + whole[place + 1 :]
            path.write_bytes(whole[:place] + end)
            try:
                assert len(read_mat_numbers(path, "labels", most=100)) <= 100
            except KitError as error:
                assert "\n" not in str(error)


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"labels": np.arange(12)[None]})
    whole = path.read_bytes()
    element = whole[128:136] + bytes(1 << 24)
    packed = zlib.compress(element)
    path.write_bytes(whole[:128] + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(DataError, match=r"no array of numbers|damaged"):
        read_mat_numbers(path, "labels", most=100)
