"""A training state on disk is restored exactly, and refused if it was altered."""

import math
from pathlib import Path

import pytest
import torch

from groundwork.errors import DataError, KitError
from orbit_lite.training.state import TrainingState, load_state, save_state

STATE = TrainingState(
    step=7, best=0.1, best_step=4, curve=((1, 0.5, 1e-3, math.inf, 0.25, None), (2, 1.0, 1e-3, 2.5, 0.5, 0.1))
)


def trained(steps):
    """A small module instead of a recognizer, after some steps of Adam on a loss over all of it; and its optimizer."""
    torch.manual_seed(3)
    recognizer = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(recognizer.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.2)
    for _ in range(steps):
        sum(value.square().sum() for value in recognizer.parameters()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return recognizer, optimizer


@pytest.fixture
def saved(tmp_path) -> Path:
    save_state(tmp_path / "state.pt", STATE, *trained(3))
    return tmp_path / "state.pt"


def loaded(path):
    """A state's content as exact text, with the bytes of tensors."""
    recognizer, optimizer = trained(0)
    state = load_state(path, recognizer, optimizer)
    weights = {name: value.numpy().tobytes() for name, value in recognizer.state_dict().items()}
    moments = optimizer.state_dict()
    kept = [
        (name, {key: value.numpy().tobytes() for key, value in entry.items()})
        for name, entry in moments["state"].items()
    ]
    return repr((state, weights, kept, moments["param_groups"]))


def test_a_written_state_is_restored(saved):
    recognizer, optimizer = trained(0)
    assert load_state(saved, recognizer, optimizer) == STATE
    expected, expected_optimizer = trained(3)
    found = recognizer.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.state_dict().items())
    for name, entry in expected_optimizer.state_dict()["state"].items():
        assert all(torch.equal(optimizer.state_dict()["state"][name][key], value) for key, value in entry.items())


def test_altered_states_are_refused(saved, mutations):
    """300 seeded mutations. Names in the ZIP file's directory and its alignment may change, because nothing reads
    them."""
    expected, taken = loaded(saved), 0
    for what, content in mutations(saved.read_bytes(), 300):
        saved.write_bytes(content)
        try:
            found = loaded(saved)
        except KitError as error:
            assert str(saved) in str(error) and "\n" not in str(error)
            continue
        assert found == expected, what
        taken += 1
    assert taken < 150


@pytest.mark.parametrize(
    "change", [{"step": 8}, {"best": 0.2}, {"curve": []}, {"sha256": None}, {"format": 1}, {"more": 1}]
)
def test_an_edited_state_is_refused(saved, change):
    torch.save(torch.load(saved, weights_only=True) | change, saved)
    with pytest.raises(DataError, match=r"state\.pt: the run can't resume from this file"):
        loaded(saved)


def test_a_state_without_a_hash_is_loaded_with_a_note(saved, reported):
    expected = loaded(saved)
    content = torch.load(saved, weights_only=True) | {"format": 1}
    del content["sha256"]
    torch.save(content, saved)
    assert reported() == []
    assert loaded(saved) == expected
    (note,) = reported()
    assert note.startswith(f"note: {saved}: this state has no hash")
