import pytest

SUN = ("a/abbey/sun_1.jpg", "a/apse/indoor/sun_2.jpg", "a/abbey/sun_3.jpg", "b/bog/sun_4.jpg")


@pytest.fixture
def sun(put):
    source = put(*SUN)
    (source / "Training_01.txt").write_text(f"/{SUN[0]}\n/{SUN[1]}\r\n")
    (source / "Testing_01.txt").write_text(f"/{SUN[2]}\n\n")
    return source


def test_sun397_with_its_first_partition(sun, made, tmp_path):
    assert [*made("sun397")] == ["test/set/abbey", "train/set/abbey", "train/set/apse indoor"]


def test_sun397_with_another_partition(sun, made, tmp_path):
    (tmp_path / "Training_02.txt").write_text(SUN[3])
    (tmp_path / "Testing_02.txt").write_text(SUN[0])
    assert [*made("sun397", tmp_path / "Training_02.txt")] == ["test/set/abbey", "train/set/bog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abbey/sun_1.jpg\n", "Testing_01.txt: line 1: 'abbey/sun_1.jpg'"),
        (b"/a/../../b/bog.jpg\n", "can't be a class's name"),
        (b"/a/abbey/sun_9.jpg\n", "names 1 file that"),
        (b"/a/abbey/sun_1.jpg\n", "named twice, as abbey (train) and as abbey (test)"),
        (b"\xff\xfe", "not UTF-8 text"),
    ],
)
def test_sun397_with_a_wrong_list(sun, refused, content, message):
    (sun / "Testing_01.txt").write_bytes(content)
    refused("sun397", message)


def test_sun397_without_a_list(sun, refused):
    (sun / "Testing_01.txt").unlink()
    refused("sun397", "Testing_01.txt: can't be read", exit_code=2)
    refused("sun397", "expected one of SUN397's partitions", list_file=sun / "list.txt", exit_code=2)


@pytest.fixture
def pets(put):
    source = put("images/Abyssinian_1.jpg", "images/great_pyrenees_10.jpg", "images/great_pyrenees_2.jpg")
    (source / "annotations").mkdir()
    (source / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\ngreat_pyrenees_10 2 2 1\n")
    (source / "annotations/test.txt").write_text("#Image CLASS-ID\ngreat_pyrenees_2 2 2 1\n")
    return source


def test_pets_by_breed(pets, made):
    assert [*made("pets")] == ["test/set/great_pyrenees", "train/set/Abyssinian", "train/set/great_pyrenees"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("great_pyrenees_3 2 2 1", "great_pyrenees_3.jpg"), ("great 1", "line 1: 'great 1'"), ("../x_1 1", "'../x_1 1'")],
)
def test_pets_with_a_wrong_list(pets, refused, content, message):
    (pets / "annotations/test.txt").write_text(content)
    refused("pets", message)
