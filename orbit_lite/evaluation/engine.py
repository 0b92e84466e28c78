"""Which engine a run's recognizer encodes by."""

import logging
from collections import defaultdict
from pathlib import Path

from eval.formats.records import TaskSet
from groundwork.errors import UsageError
from orbit_lite.models.engines import DEFAULT_ENGINE
from orbit_lite.models.engines.choosing import settle_engine
from orbit_lite.models.engines.encoder import EngineFails
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.runs.folder import machine_before
from orbit_lite.runs.ranks import Ranks

_LOG = logging.getLogger("orbit_lite")


def settle_for_run(
    recognizer: Recognizer,
    asked: str | None,
    run: Path | None,
    ranks: Ranks,
    *,
    frames: int,
    states: int,
    finished: bool = False,
) -> str:
    """Let a run's recognizer encode by one engine on all ranks: the one asked for, the one that the run began with, or
    the quicker one.

    Arguments, result and errors as for `settle_engine`; and

    Args:
        run: the run's folder, there or not; None without one.
        finished: whether it has its predictions: then it keeps its engine, and says so if another is asked for.
    """
    before = machine_before(run).get("engine") if run else None
    if finished and asked and isinstance(before, str) and asked != before:
        if ranks.first:
            _LOG.warning(
                "%s: its predictions are there, by engine %s, and are not made again; for engine %s give another --out",
                run,
                before,
                asked,
            )
        asked = None
    if asked is None and isinstance(before, str):
        try:
            return settle_engine(recognizer, before, frames=frames, states=states)
        except (EngineFails, UsageError) as error:  # unknown: of another release
            _LOG.warning(
                "the run began with engine %s, which can't be used any more: %s", before, error.__cause__ or error
            )
    if asked is None and ranks.count > 1:
        asked = DEFAULT_ENGINE.name  # each would choose for itself
    return settle_engine(recognizer, asked, frames=frames, states=states)


def count_frames(tasks: TaskSet) -> int:
    """How many frames tasks name, each counted once for a video."""
    by_video: dict[str, set[int]] = defaultdict(set)
    for task in tasks.tasks:
        for plan in (*task.support, *task.query):
            by_video[plan.video].update(plan.frames)
    return sum(map(len, by_video.values()))
