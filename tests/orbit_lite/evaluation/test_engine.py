"""A run uses one engine and records its name."""

import json

import pandas as pd
import pytest
import torch

from eval.compare import compare
from eval.formats.records import read_scorecard
from orbit_lite.cli.parser import main
from orbit_lite.evaluation.engine import choose_run_engine, count_frames
from orbit_lite.models.engines.encoder import EngineFails
from orbit_lite.models.engines.openvino import OpenVinoEngine
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.runs.ranks import joined_ranks


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def evaluated(data, out, *more):
    arguments = ["--model", "protonets", "--backbone", "tiny", "--data", data, "--protocol", "orbit-2022"]
    return main(["evaluate", *map(str, arguments), "--tasks-per-user", "1", "--out", str(out), "--workers", "0", *more])


def test_two_engines_predict_the_same_and_are_named(pocket_frames, tmp_path, capsys):
    engines = ("eager", "openvino")
    for engine in engines:
        assert evaluated(pocket_frames, tmp_path / engine, "--engine", engine) == 0
    assert [json.loads((tmp_path / e / "run.json").read_text())["machine"]["engine"] for e in engines] == [*engines]
    tables = [pd.read_parquet(tmp_path / engine / "predictions.parquet") for engine in engines]
    near = (tables[0].confidence - tables[1].confidence).abs()
    assert near.max() < 1e-3 and not tables[0].confidence.equals(tables[1].confidence)
    assert (tables[0].prediction == tables[1].prediction).mean() > 0.999
    cards = [read_scorecard(tmp_path / engine / "scorecard.json") for engine in engines]
    assert [card.provenance["engine"] for card in cards] == [*engines]
    note = compare(*cards, names=("A", "B")).note
    assert note == "Features were computed A by engine eager, B by engine openvino, so they differ by rounding."
    assert compare(cards[0], cards[0]).note is None
    assert "openvino" in (tmp_path / "openvino" / "report.html").read_text()


@pytest.fixture
def recognizer():
    return build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)


def began_with(engine, out):
    out.mkdir()
    (out / "run.json").write_text(json.dumps({"settings": {}, "machine": {"engine": engine}, "versions": {}}))
    return out


def test_a_run_keeps_the_engine_that_it_began_with(recognizer, tmp_path):
    run = began_with("eager", tmp_path / "run")
    with joined_ranks(torch.device("cpu")) as ranks:
        assert choose_run_engine(recognizer, None, run, ranks, frames=10, states=1) == "eager"
        assert choose_run_engine(recognizer, "torch", run, ranks, frames=10, states=1) == "torch"
        assert choose_run_engine(recognizer, None, tmp_path / "new", ranks, frames=10, states=1) == "torch"


def test_a_finished_run_keeps_its_engine_with_a_warning(pocket_frames, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluated(pocket_frames, out, "--engine", "eager") == 0
    before = {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    assert evaluated(pocket_frames, out, "--engine", "torch") == 0
    assert "made with engine eager, and keeps them; to use engine torch give another --out" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == before
    record = json.loads((out / "run.json").read_text())
    assert record["machine"]["engine"] == read_scorecard(out / "scorecard.json").provenance["engine"] == "eager"


def test_an_unavailable_engine_is_replaced_with_a_warning(recognizer, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise EngineFails("openvino is not installed; pip install openvino")

    monkeypatch.setattr(OpenVinoEngine, "encoder", fail)
    run = began_with("openvino", tmp_path / "run")
    with joined_ranks(torch.device("cpu")) as ranks:
        assert choose_run_engine(recognizer, None, run, ranks, frames=10, states=1) == "torch"
    assert caplog.messages == [
        "the run started with engine openvino, which can no longer be used: openvino is not installed; pip install "
        "openvino"
    ]


def test_an_engine_of_another_release_is_replaced_with_a_warning(recognizer, tmp_path, caplog):
    run = began_with("warp", tmp_path / "run")
    with joined_ranks(torch.device("cpu")) as ranks:
        assert choose_run_engine(recognizer, None, run, ranks, frames=10, states=1) == "torch"
    assert "the run started with engine warp, which can no longer be used: unknown engine 'warp'" in caplog.text


def test_a_run_without_results_names_the_engine_that_computes_it(pocket_frames, tmp_path):
    out = tmp_path / "out"
    assert evaluated(pocket_frames, out, "--engine", "eager") == 0
    for name in ("predictions.parquet", "scorecard.json"):
        (out / name).unlink()
    assert evaluated(pocket_frames, out, "--engine", "torch") == 0
    record = json.loads((out / "run.json").read_text())
    assert record["machine"]["engine"] == read_scorecard(out / "scorecard.json").provenance["engine"] == "torch"
    assert "went_on" not in record


def test_an_engine_that_can_not_run_is_one_line(pocket_frames, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise EngineFails("openvino is not installed; pip install openvino")

    monkeypatch.setattr(OpenVinoEngine, "encoder", fail)
    assert evaluated(pocket_frames, tmp_path / "out", "--engine", "openvino") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "orbit-lite: --engine openvino: openvino is not installed; pip install openvino. Leave --engine out, or use "
        "--engine torch."
    )
    assert not (tmp_path / "out").exists()


def test_frames_are_counted_once_for_all_tasks(pocket_frames):
    from data_prep.tree.index import open_index
    from orbit_lite.config import load_protocol
    from orbit_lite.data.tasks import TaskSampler

    sampler = TaskSampler(open_index(pocket_frames), load_protocol("orbit-2022"), split="test", seed=0)
    tasks = sampler.draw_all(tasks_per_user=3)
    plans = [plan for task in tasks.tasks for plan in (*task.support, *task.query)]
    assert count_frames(tasks) == len({(plan.video, frame) for plan in plans for frame in plan.frames})
