"""Teachable object recognisers on ORBIT: tasks, LITE meta-training, predictions.

from orbit_lite import load_recognizer
recognizer = load_recognizer("run/best.safetensors")
fitted = recognizer.personalize(images, labels)   # uint8 (n, 3, 224, 224), int64 (n,)
scores = fitted.logits(images)                    # (m, way)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbit_lite.models.checkpoint import load_recognizer

__all__ = ["load_recognizer"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so it waits until it is asked for: `orbit-lite --help` answers at once
    if name == "load_recognizer":
        from orbit_lite.models.checkpoint import load_recognizer

        return load_recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
