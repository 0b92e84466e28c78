import pytest

from groundwork.errors import AskedWrong, FoundWrong
from orbit_lite.run_folder import RunFolder, versions


def test_the_same_settings_take_a_folder_up_again(tmp_path):
    settings = {"seed": 1, "betas": (0.9, 0.98)}
    assert not RunFolder(tmp_path / "run", settings, machine={}).resumed
    assert RunFolder(tmp_path / "run", settings, machine={"threads": 8}).resumed


def test_what_is_another_runs_is_left_alone(tmp_path):
    RunFolder(tmp_path / "run", {"config": {"lr": 1, "h": 2}}, machine={})
    with pytest.raises(AskedWrong, match=r"holds another run \(config\.lr is 1 there, 3 here\)"):
        RunFolder(tmp_path / "run", {"config": {"lr": 3, "h": 2}}, machine={})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(AskedWrong, match="no run of this kit"):
        RunFolder(tmp_path / "photos", {}, machine={})
    with pytest.raises(AskedWrong, match="a file"):
        RunFolder(tmp_path / "photos" / "cat.jpg", {}, machine={})
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(FoundWrong, match="damaged"):
        RunFolder(tmp_path / "run", {}, machine={})


def test_versions_name_what_results_depend_on():
    assert {"python", "torch", "numpy", "timm"} <= set(versions())
