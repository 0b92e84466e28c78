"""Teachable object recognizers on ORBIT: tasks, LITE meta-training, predictions.

```python
from orbit_lite import load_recognizer
recognizer = load_recognizer("run/best.safetensors")
fitted = recognizer.personalize(images, labels)   # uint8 (n, 3, 224, 224), int64 (n,)
scores = fitted.logits(images)                    # (m, way)
```
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbit_lite.data.pixels import TaskPixels
    from orbit_lite.models.checkpoint import load_recognizer
    from orbit_lite.models.recognizer import build_recognizer
    from orbit_lite.models.task_gradient import task_gradient

    __version__: str

__all__ = ["TaskPixels", "__version__", "build_recognizer", "load_recognizer", "task_gradient"]

# The module that defines each name. Importing torch takes seconds, so a module is imported when one of its names is
# first used; `orbit-lite --help` answers at once.
_HOMES = {
    "TaskPixels": "orbit_lite.data.pixels",
    "build_recognizer": "orbit_lite.models.recognizer",
    "load_recognizer": "orbit_lite.models.checkpoint",
    "task_gradient": "orbit_lite.models.task_gradient",
}


logging.getLogger(__name__).addHandler(logging.NullHandler())  # library calls log nothing by default


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("orbit-lite")
        except PackageNotFoundError:  # a checkout that is not installed
            return "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
