"""Adapters adapt an extractor to one support set. `find_adapter` returns an adapter's record by name.

Each adapter is one file here and one line in this table. It defines how it is fitted, how a task's gradient passes
through it (with the estimators in models/gradients), and what it costs; see `Adapter`.
"""

from groundwork.errors import UsageError
from groundwork.words import nearest
from orbit_lite.models.adapters import film_generator, film_tuner, inner_loop, none, proximal
from orbit_lite.models.adapters.record import AdapterRecord

ADAPTERS: dict[str, AdapterRecord] = {
    record.name: record
    for record in (
        none.RECORD,
        film_generator.RECORD,
        film_tuner.RECORD,
        inner_loop.RECORD,
        proximal.RECORD,
    )
}


def find_adapter(name: str) -> AdapterRecord:
    """Return an adapter's record.

    Raises:
        UsageError: for an unknown name; the message lists similar and known names.
    """
    if name not in ADAPTERS:
        raise UsageError(f"unknown adapter {name!r}{nearest(name, ADAPTERS)}; known: {', '.join(ADAPTERS)}")
    return ADAPTERS[name]
