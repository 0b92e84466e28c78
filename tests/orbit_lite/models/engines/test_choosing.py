"""The engine for a piece of work: the requested one, or the one measured to be faster."""

import json
import logging

import pytest
import torch

from groundwork.errors import UsageError
from orbit_lite.models.engines import ENGINES, choosing
from orbit_lite.models.engines.choosing import EngineSpeeds, choose_engine
from orbit_lite.models.engines.encoder import EngineFails
from orbit_lite.models.recognizer import build_recognizer

SLOW_TO_START = EngineSpeeds(torch=10.0, openvino=40.0, prepare_s=3.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def recognizer():
    return build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)


@pytest.mark.parametrize(
    ("frames", "states", "expected"),
    [
        (39, 1, "torch"),  # 3.9 s by torch, 3 + 0.975 s by openvino
        (41, 1, "openvino"),  # 4.1 s, 3 + 1.025 s
        (41, 2, "torch"),  # openvino prepares twice
        (10_000, 100, "openvino"),  # 1,000 s, 300 + 250 s
    ],
)
def test_the_faster_engine_includes_its_preparation(frames, states, expected):
    assert SLOW_TO_START.faster(frames=frames, states=states).name == expected


def test_an_engine_that_fails_is_never_faster():
    assert EngineSpeeds(torch=1.0, openvino=0.0, prepare_s=0.0).faster(frames=10**6, states=1).name == "torch"


@pytest.fixture
def clock(monkeypatch):
    """Fakes the measurement: torch encodes 10 frames per second, openvino 40."""
    measured = []

    def frames_per_s(encoder, extractor, chunk):
        measured.append(encoder)
        return 10.0 if len(measured) % 2 else 40.0

    monkeypatch.setattr(choosing, "_frames_per_s", frames_per_s)
    monkeypatch.setattr(type(ENGINES["openvino"]), "encoder", lambda _, *of: ENGINES["eager"].encoder(*of))
    return measured


def test_little_work_is_not_worth_measuring(recognizer, clock, tmp_path):
    assert choose_engine(recognizer, None, frames=299) == "torch"  # 29.9 s
    assert len(clock) == 1 and not list(tmp_path.rglob("*.json"))


def test_nothing_is_measured_without_time_for_it(recognizer, clock):
    assert choose_engine(recognizer, None, frames=10**6, measure=False) == "torch" and not clock
    choose_engine(recognizer, None, frames=10**6)
    assert choose_engine(recognizer, None, frames=10**6, measure=False) == "openvino" and len(clock) == 2


def test_much_work_is_measured_once(recognizer, clock):
    assert choose_engine(recognizer, None, frames=301) == recognizer.engine.name == "openvino"
    assert len(clock) == 2
    assert choose_engine(recognizer, None, frames=301) == "openvino"
    assert len(clock) == 2


def test_a_measurement_belongs_to_a_number_of_threads(recognizer, clock):
    choose_engine(recognizer, None, frames=1000)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        choose_engine(recognizer, None, frames=1000)
    finally:
        torch.set_num_threads(threads)
    assert len(clock) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"torch": 0, "openvino": 1, "prepare_s": 1}', '{"torch": []}'])
def test_a_damaged_measurement_is_made_again(recognizer, clock, tmp_path, content):
    choose_engine(recognizer, None, frames=1000)
    [file] = tmp_path.rglob("*.json")
    whole = file.read_text()
    file.write_text(content)
    assert choose_engine(recognizer, None, frames=1000) == "openvino"
    assert json.loads(file.read_text()).keys() == json.loads(whole).keys()


def test_an_engine_that_fails_is_not_used_and_reported_once(recognizer, clock, monkeypatch, caplog):
    def fail(self, extractor, state):
        raise EngineFails("no kernel")

    monkeypatch.setattr(type(ENGINES["openvino"]), "encoder", fail)
    with caplog.at_level(logging.INFO, "orbit_lite"):
        assert choose_engine(recognizer, None, frames=10_000) == "torch"
        assert choose_engine(recognizer, None, frames=10_000) == "torch"
    said = [line for line in caplog.messages if "no kernel" in line]
    assert said == ["engine torch: openvino can't be used: no kernel"]
    with pytest.raises(EngineFails, match=r"--engine openvino: no kernel. Leave --engine out, or use --engine torch"):
        choose_engine(recognizer, "openvino", frames=1)


def test_other_devices_and_precisions_use_torch(recognizer, clock):
    recognizer.double()
    assert choose_engine(recognizer, None, frames=10**6) == "torch" and not clock


def test_where_openvino_is_not_installed_it_is_torch(recognizer, clock, monkeypatch):
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    assert choose_engine(recognizer, None, frames=10**6) == "torch" and not clock


@pytest.mark.parametrize("name", ENGINES)
def test_a_requested_engine_is_used_for_any_work(recognizer, name):
    assert choose_engine(recognizer, name, frames=1) == recognizer.engine.name == name


def test_an_unknown_engine_is_refused(recognizer):
    with pytest.raises(UsageError, match="unknown engine 'tensorrt'"):
        choose_engine(recognizer, "tensorrt", frames=1)


def test_an_encoder_prepared_during_the_choice_is_used(recognizer, monkeypatch):
    prepared = []
    prepare = type(ENGINES["openvino"]).encoder
    monkeypatch.setattr(type(ENGINES["openvino"]), "encoder", lambda *given: prepared.append(given) or prepare(*given))
    choose_engine(recognizer, "openvino", frames=1)
    recognizer.embed(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert len(prepared) == 1
