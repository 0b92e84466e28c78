import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.measure import Comparison, Spread
from benchmarks.record import hardware
from groundwork.errors import DataError

NAMES = [
    *(
        "engines",
        "episodes",
        "evaluate",
        "export",
        "extract",
        "frames",
        "index",
        "lite",
        "maml",
        "personalize",
        "readers",
        "recognize",
        "scale",
    ),
    "studio",
]
RESULT = Comparison("none", "time", "s", 1, ("one", Spread.of([1.0])), ("other", Spread.of([3.0])))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Benchmarks that take no time; each one's own run is tested in its file."""
    monkeypatch.setattr(command, "BENCHMARKS", {name: lambda: [RESULT] for name in command.BENCHMARKS})


def test_every_benchmark_is_described():
    assert set(command.BENCHMARKS) == {*NAMES, *command.ON_GPU}
    assert set(command.ABOUT) == {*command.BENCHMARKS, *command.WITH_OPTIONS}


@pytest.mark.parametrize("asked", [[], ["lite"]])
def test_runs_all_or_the_named(tmp_path, capsys, monkeypatch, asked):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = asked or NAMES
    assert command.main([*asked, "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}-{hardware()}.csv" for name in run]
    shown = capsys.readouterr().out
    assert shown.count("other") == len(run)
    assert all(str(tmp_path / f"{name}-{hardware()}.csv") in shown for name in run)


def test_benchmarks_that_need_a_gpu_are_skipped_or_a_usage_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main(["--out", str(tmp_path)]) == 0
    assert "lite-gpu: skipped, because this machine has no CUDA device" in capsys.readouterr().out
    assert command.main(["lite-gpu", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "benchmarks: lite-gpu: this machine has no CUDA device\n"


def test_unknown_name_exits_2_and_lists_the_known(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["life"])
    assert stop.value.code == 2
    assert f"unknown benchmark 'life'; known: {', '.join(command.ABOUT)}" in capsys.readouterr().err


def test_help_is_plain_and_names_each(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert all(f"  {name}: " in shown for name in command.BENCHMARKS)


def test_a_fault_is_one_line_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    def fails():
        raise DataError("the process that measures memory was killed")

    monkeypatch.setitem(command.BENCHMARKS, "lite", fails)
    assert command.main(["lite", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "benchmarks: the process that measures memory was killed\n"
    assert list(tmp_path.iterdir()) == []
