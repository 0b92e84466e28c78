"""Devices by name: unavailable and unsupported ones give a one-line error."""

import pytest
import torch

from groundwork.errors import UsageError
from orbit_lite.runs.devices import named_device


def test_without_a_name_an_available_device_is_used():
    assert named_device("").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert named_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("abacus", "not available on this machine"),
        ("cuda:99", "not available on this machine"),
        ("meta", "not supported; use cpu or cuda"),
    ],
)
def test_others_are_refused(name, said):
    with pytest.raises(UsageError, match=f"--device {name}: .*{said}") as error:
        named_device(name)
    assert "\n" not in str(error.value)
