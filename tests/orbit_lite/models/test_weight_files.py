"""Files of weights are read without running any code in them."""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from groundwork.errors import DataError, UsageError
from orbit_lite.models.weight_files import load_checked, read_metadata, read_weights

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return exec, (f"open({str(self.target)!r}, 'w').close()",)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_both_formats_are_known_by_content_not_by_suffix(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.bin"
    if kind == "safetensors":
        safetensors.torch.save_file(WEIGHTS, path, metadata={"x": "y"})
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    file = read_weights(path)
    assert {name: value.tolist() for name, value in file.tensors.items()} == {
        name: value.tolist() for name, value in WEIGHTS.items()
    }
    assert file.metadata == read_metadata(path) == ({"x": "y"} if kind == "safetensors" else {})


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("plain_pickle", [False, True])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, nested: bool, plain_pickle: bool) -> None:
    path, target = tmp_path / "hostile.pth", tmp_path / "was-run"
    content = {"model_state_dict": WEIGHTS, "extra": Hostile(target)} if nested else Hostile(target)
    if plain_pickle:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(DataError, match="no code in it was run"):
        read_weights(path)
    assert not target.exists()
    if plain_pickle:  # the attack would have worked
        pickle.loads(path.read_bytes())
        assert target.exists()


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"cut.{kind}"
    if kind == "safetensors":
        safetensors.torch.save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"not weights at all", b"\xff\xd8\xff\xe0 a picture", b"12345678{}"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(DataError, match="other"):
        read_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 3}, {"a": {"b": torch.ones(1)}}, {1: torch.ones(1)}])
def test_pickles_that_are_no_state_dict_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(DataError, match="expected a state dict"):
        read_weights(tmp_path / "odd.pth")


def test_tensors_that_were_on_a_gpu_come_to_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a file can be made without a GPU, because it only names each tensor's device."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(WEIGHTS, tmp_path / "x.pth")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(tmp_path / "x.pth", weights_only=True)
    assert all(value.device.type == "cpu" for value in read_weights(tmp_path / "x.pth").tensors.values())


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    for read in (read_weights, read_metadata):
        with pytest.raises(UsageError, match="no such file"):
            read(tmp_path / "none.pth")


def test_a_module_that_does_not_fit_is_left_as_it_was() -> None:
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    with pytest.raises(DataError, match=r"x: .*1 missing"):
        load_checked(module, {"weight": torch.zeros(2, 3)}, where="x")
    assert torch.equal(module.weight, before)


def test_a_number_too_large_for_the_module_counts_as_infinite() -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(DataError, match=r"infinite values \(bias"):
        load_checked(
            module, {"weight": torch.ones(1, 1), "bias": torch.full((1,), 1e300, dtype=torch.float64)}, where="x"
        )


def test_batch_counters_may_be_absent_statistics_may_not() -> None:
    module = nn.BatchNorm1d(2)
    weights = {name: value for name, value in module.state_dict().items() if name != "num_batches_tracked"}
    load_checked(module, weights | {"running_mean": torch.tensor([1.0, 2.0])}, where="x")
    assert module.running_mean is not None
    assert module.running_mean.tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match=r"missing \(running_var"):
        load_checked(module, {name: value for name, value in weights.items() if name != "running_var"}, where="x")
    with pytest.raises(DataError, match=r"1 with negative variances \(running_var\)"):
        load_checked(module, weights | {"running_var": torch.tensor([1.0, -0.1])}, where="x")
    with pytest.raises(DataError, match=r"1 with NaN or infinite values \(running_mean\)"):
        load_checked(module, weights | {"running_mean": torch.tensor([1.0, float("inf")])}, where="x")
    assert module.running_mean.tolist() == [1.0, 2.0]
