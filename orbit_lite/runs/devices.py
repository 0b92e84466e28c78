"""Devices by name, for `--device`."""

import torch

from groundwork.errors import UsageError

KINDS = ("cpu", "cuda")  # not Apple's GPUs (mps), which lack float64; training and some heads need it


def named_device(name: str) -> torch.device:
    """The device with a name (`cpu`, `cuda`, `cuda:1`, ...); "" is a GPU if there is one, else the CPU.

    Raises:
        UsageError: if this machine has no such device, or the kit does not support it.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: not available on this machine ({str(error).splitlines()[0]})") from None
    if device.type not in KINDS:
        raise UsageError(f"--device {name}: not supported; use cpu or cuda, or leave --device out")
    return device
