"""Devices by name, as `--device` takes them."""

import torch

from groundwork.errors import AskedWrong


def named_device(name: str) -> torch.device:
    """The device of a name (`cpu`, `cuda`, `cuda:1`, ...); "" is a GPU where there is one, else the CPU.

    Raises:
        AskedWrong: if there is no such device here.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise AskedWrong(f"--device {name}: not to be had here ({str(error).splitlines()[0]})") from None
    return device
