import numpy as np
import pytest
from scipy.io import savemat

from .conftest import close, pixels


@pytest.fixture
def flowers(put):
    source = put(*(f"jpg/image_{number:05d}.jpg" for number in range(1, 5)))
    savemat(source / "imagelabels.mat", {"labels": np.array([[2, 102, 2, 7]], np.uint8)})
    splits = {"trnid": np.array([[1, 2]]), "valid": np.array([[3]]), "tstid": np.array([[4]])}
    savemat(source / "setid.mat", splits)
    return source


def test_flowers_in_the_data_sets_own_splits(flowers, made):
    found = made("flowers102")
    assert [*found] == ["test/set/007", "train/set/002", "train/set/102", "validation/set/002"]
    assert close(found["validation/set/002"][0], pixels(2))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("setid.mat", {"trnid": [[1]], "valid": [[2]]}, "no array of numbers named 'tstid'"),
        ("setid.mat", {"trnid": [[0]], "valid": [[2]], "tstid": [[3]]}, "picture 0, but only 4 labels"),
        ("setid.mat", {"trnid": [[5]], "valid": [[2]], "tstid": [[3]]}, "picture 5, but only 4 labels"),
        ("setid.mat", {"trnid": [[1]], "valid": [[1]], "tstid": [[3]]}, "image_00001.jpg is named twice"),
        ("imagelabels.mat", {"labels": [[1, 2, 3, 4, 5]]}, ""),
    ],
)
def test_files_that_do_not_fit(flowers, refused, made, name, content, message):
    savemat(flowers / name, content)
    if message:
        refused("flowers102", message)
    else:
        assert len(made("flowers102")) == 4  # a label of a picture in no split is ignored


def test_missing_pictures(flowers, refused):
    (flowers / "jpg/image_00003.jpg").unlink()
    refused("flowers102", "names 1 file that", "'jpg/image_00003.jpg'")
    (flowers / "setid.mat").unlink()
    refused("flowers102", "setid.mat: no such file", exit_code=2)
