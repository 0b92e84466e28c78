"""Chooses the engine that encodes frames in a run."""

import logging
from collections import defaultdict
from pathlib import Path

from eval.formats.records import TaskSet
from groundwork.errors import UsageError
from orbit_lite.models.engines import DEFAULT_ENGINE
from orbit_lite.models.engines.choosing import choose_engine
from orbit_lite.models.engines.encoder import EngineFails
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.runs.folder import machine_before
from orbit_lite.runs.ranks import Ranks

_LOG = logging.getLogger("orbit_lite")


def choose_run_engine(
    recognizer: Recognizer,
    asked: str | None,
    run: Path | None,
    ranks: Ranks,
    *,
    frames: int,
    states: int,
    finished: bool = False,
) -> str:
    """Choose one engine for a run on all ranks: the requested one, the one that the run started with, or the faster
    one.

    Arguments, result and errors are those of `choose_engine`, and:

    Args:
        run: the run's folder, which may not exist yet; None without a folder.
        finished: whether the run has its predictions. If so it keeps its engine, and logs a warning if another was
            requested.
    """
    before = machine_before(run).get("engine") if run else None
    if finished and asked and isinstance(before, str) and asked != before:
        if ranks.first:
            _LOG.warning(
                "%s: already has predictions, made with engine %s, and keeps them; to use engine %s give another --out",
                run,
                before,
                asked,
            )
        asked = None
    if asked is None and isinstance(before, str):
        try:
            return choose_engine(recognizer, before, frames=frames, states=states)
        except (EngineFails, UsageError) as error:  # UsageError: an engine of another release
            _LOG.warning(
                "the run started with engine %s, which can no longer be used: %s", before, error.__cause__ or error
            )
    if asked is None and ranks.count > 1:
        asked = DEFAULT_ENGINE.name  # otherwise each rank would choose for itself
    return choose_engine(recognizer, asked, frames=frames, states=states)


def count_frames(tasks: TaskSet) -> int:
    """The number of distinct frames in all tasks."""
    by_video: dict[str, set[int]] = defaultdict(set)
    for task in tasks.tasks:
        for plan in (*task.support, *task.query):
            by_video[plan.video].update(plan.frames)
    return sum(map(len, by_video.values()))
