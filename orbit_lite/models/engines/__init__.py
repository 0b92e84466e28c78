"""Engines run an extractor's network when no gradient is needed. `find_engine` returns one by name.

Each engine is one file here and one line in this table. It makes an encoder for one state of an extractor; see
`Engine`. `choosing` finds the fastest engine for a piece of work on this machine.
"""

from groundwork.errors import UsageError
from groundwork.words import nearest
from orbit_lite.models.engines.encoder import EagerEngine, Engine
from orbit_lite.models.engines.folding import FoldedEngine
from orbit_lite.models.engines.openvino import OpenVinoEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (FoldedEngine(), OpenVinoEngine(), EagerEngine())}
DEFAULT_ENGINE: Engine = ENGINES["torch"]


def find_engine(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        UsageError: for an unknown name; the message lists similar and known names.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}{nearest(name, ENGINES)}; known: {', '.join(ENGINES)}")
    return ENGINES[name]
