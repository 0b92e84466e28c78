"""What a library call must leave as it found it: the settings of the whole process."""

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def process_state() -> dict[str, Any]:
    """Everything of the process that a call could change for its caller, as far as it can be read; of libraries that
    are loaded."""
    state: dict[str, Any] = {
        "environment": dict(os.environ),
        "working folder": os.getcwd(),
        "import path": list(sys.path),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "exception hook": sys.excepthook,
        "recursion limit": sys.getrecursionlimit(),
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "locale": locale.setlocale(locale.LC_ALL),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "child processes": multiprocessing.active_children(),
        "descriptors 0 to 2": [tuple(os.fstat(number)[1:3]) for number in range(3)],
        "standard streams": (sys.stdin, sys.stdout, sys.stderr),
        # SIGCHLD: torch's DataLoader hears of dead workers by it, once for the whole process, and hands it on
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGCHLD}},
        "root logger": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "random": random.getstate(),
    }
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and not name.startswith("torch"):  # torch's come when it first exports
            state[f"logger {name}"] = (logger.level, logger.propagate, logger.disabled, list(logger.handlers))
    if hasattr(signal, "pthread_sigmask"):
        state["signals held back"] = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for library, read in (("av.logging", _av), ("cv2", _cv2), ("numpy", _numpy), ("torch", _torch)):
        if library in sys.modules:
            state |= {f"{library}: {name}": value for name, value in read(sys.modules[library]).items()}
    if "matplotlib" in sys.modules:
        settings = sys.modules["matplotlib"].rcParams
        # dict's: asking the settings themselves for the backend would choose one
        state["matplotlib"] = {name: dict.__getitem__(settings, name) for name in list(settings)}
    return state


def _av(av_logging: Any) -> dict[str, Any]:
    return {"level": av_logging.get_level(), "skips repeated lines": av_logging.get_skip_repeated()}


def _cv2(cv2: Any) -> dict[str, Any]:
    return {
        "threads": cv2.getNumThreads(),
        "log level": cv2.utils.logging.getLogLevel(),
        "optimized": cv2.useOptimized(),
        "OpenCL": cv2.ocl.useOpenCL(),
    }


def _numpy(numpy: Any) -> dict[str, Any]:
    kind, keys, *rest = numpy.random.get_state()
    return {
        "random": (kind, keys.tobytes(), *rest),
        "errors": numpy.geterr(),
        "print options": str(numpy.get_printoptions()),
    }


def _torch(torch: Any) -> dict[str, Any]:
    return {
        "random": torch.get_rng_state().numpy().tobytes(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "default dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cuDNN": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "matmul precision": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "process group": torch.distributed.is_initialized(),
    }


@contextmanager
def left_unchanged() -> Iterator[None]:
    """Fail if the block leaves any of it changed; what it loads is not counted."""
    before = process_state()
    yield
    after = process_state()
    changed = {name: (value, after.get(name)) for name, value in before.items() if after.get(name) != value}
    assert not changed, f"left changed: {', '.join(changed)}\n{changed}"
