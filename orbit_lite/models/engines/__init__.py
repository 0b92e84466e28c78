"""Engines: ways of running an extractor's network where no gradient is asked for. `find_engine` gives one by name.

An engine is one file here, and one line in this table. It makes an encoder of one state of an extractor; see `Engine`.
`choosing` says which is the quickest for a piece of work on this machine.
"""

from groundwork.errors import UsageError
from groundwork.words import nearest
from orbit_lite.models.engines.encoder import EagerEngine, Engine
from orbit_lite.models.engines.folding import FoldedEngine
from orbit_lite.models.engines.openvino import OpenVinoEngine

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (FoldedEngine(), OpenVinoEngine(), EagerEngine())}
DEFAULT_ENGINE: Engine = ENGINES["torch"]


def find_engine(name: str) -> Engine:
    """An engine by its name.

    Raises:
        UsageError: for an unknown name; says which are near, and which there are.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}{nearest(name, ENGINES)}; known: {', '.join(ENGINES)}")
    return ENGINES[name]
