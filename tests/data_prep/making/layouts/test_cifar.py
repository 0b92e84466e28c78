import pytest

from .conftest import close, pixels


def record(labels, number):
    return bytes(labels) + pixels(number).transpose(2, 0, 1).tobytes()


@pytest.fixture
def cifar10(source):
    (source / "batches.meta.txt").write_text("airplane\ntrain\n\n")
    for number in range(1, 6):
        (source / f"data_batch_{number}.bin").write_bytes(record([number % 2], number))
    (source / "test_batch.bin").write_bytes(record([1], 9))
    return source


def test_cifar_10(cifar10, made):
    found = made("cifar")
    assert {place: len(frames) for place, frames in found.items()} == {
        "test/set/train": 1,
        "train/set/airplane": 2,
        "train/set/train": 3,
    }
    assert close(found["test/set/train"][0], pixels(9)) and close(found["train/set/airplane"][1], pixels(4))


def test_cifar_100_with_its_fine_classes(source, made):
    (source / "fine_label_names.txt").write_text("apple\naquarium_fish\n")
    (source / "train.bin").write_bytes(record([7, 1], 0) + record([7, 0], 1))
    (source / "test.bin").write_bytes(record([3, 1], 2))
    found = made("cifar")
    assert [*found] == ["test/set/aquarium_fish", "train/set/apple", "train/set/aquarium_fish"]
    assert close(found["train/set/apple"][0], pixels(1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", b"\0" * 3072, "3072 bytes, expected a multiple of 3073"),
        ("data_batch_2.bin", b"", "0 bytes, expected a multiple of 3073"),
        ("data_batch_2.bin", None, "no such file"),
        ("test_batch.bin", record([2], 0), "label 2, but only 2 class names"),
        ("batches.meta.txt", b"air\\plane\nb\n", "can't be a class's name"),
        ("batches.meta.txt", b"\xff\n", "not UTF-8 text"),
    ],
)
def test_damaged_files(cifar10, refused, name, content, message):
    (cifar10 / name).unlink()
    if content is not None:
        (cifar10 / name).write_bytes(content)
    refused("cifar", name, message)


def test_pickles_are_never_opened(source, refused):
    (source / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    refused("cifar", "data_batch_1 are pickles", "binary version", exit_code=2)
    (source / "data_batch_1").unlink()
    refused("cifar", "no CIFAR", exit_code=2)
