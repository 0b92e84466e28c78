"""Devices by name, as `--device` takes them."""

import torch

from groundwork.errors import UsageError

KINDS = ("cpu", "cuda")  # Apple's GPUs (mps) have no float64, which training and some heads compute in


def named_device(name: str) -> torch.device:
    """The device of a name (`cpu`, `cuda`, `cuda:1`, ...); "" is a GPU where there is one, else the CPU.

    Raises:
        UsageError: if there is no such device here, or this kit does not compute on it.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: not to be had here ({str(error).splitlines()[0]})") from None
    if device.type not in KINDS:
        raise UsageError(f"--device {name}: this kit computes on cpu and cuda; give one of them, or leave it out")
    return device
