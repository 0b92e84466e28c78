"""Evaluates a model on all data sets of a benchmark: one run per data set, and one table of all results."""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, PositiveInt, model_validator

from eval.suite_table import SetResult, suite_csv, suite_html, suite_markdown, suite_text
from groundwork.errors import DataError, UsageError
from groundwork.files import write_text
from groundwork.reporting import report_failed
from groundwork.strict_model import Strict
from groundwork.words import counted, listed, nearest
from orbit_lite.config import find_config, parse_config, read_yaml
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate

_LOG = logging.getLogger("orbit_lite")

TABLE_NAME = "sets"  # and .txt, .md, .csv, .html
_SET_NAME = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class SuiteGroup(Strict):
    """Data sets that are evaluated in the same way.

    part: the part of the benchmark, which has its own mean.
    group: the group within the part, if it has several.
    tasks_per_user: tasks per set.
    """

    part: str
    group: str = ""
    protocol: str
    tasks_per_user: PositiveInt
    sets: tuple[_SET_NAME, ...]


class Suite(Strict):
    """A benchmark of many data sets."""

    name: str
    groups: tuple[SuiteGroup, ...]

    @model_validator(mode="after")
    def _each_set_once(self) -> Self:
        names = self.names
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"set {twice[0]} is listed twice; list each set once")
        if not names:
            raise ValueError("no sets; expected at least one")
        return self

    @property
    def names(self) -> list[str]:
        """All sets, in order."""
        return [name for group in self.groups for name in group.sets]


def load_suite(name: str) -> Suite:
    """Load a suite by built-in name or path of a YAML file.

    Raises:
        UsageError: if there is no such suite, or it is invalid.
    """
    path = find_config(name, "suite")
    return parse_config(read_yaml(path), Suite, where=str(path))


def evaluate_suite(
    suite: Suite, request: EvaluateRequest, out: Path, *, workers: int, device: torch.device, width: int | None = None
) -> str:
    """Evaluate a model on each set of a suite that has a tree at `request.data`/SET.

    Writes a run folder OUT/SET for each, and a table of all results as sets.txt, sets.md, sets.csv and sets.html.
    Finished sets are not evaluated again.

    Args:
        suite: the sets; each group's protocol replaces the request's.
        request: the settings for all sets; its tasks_per_user, if given, is an upper limit.
        out: the folder of the runs.
        workers: the number of reading processes.
        device: where to compute.
        width: the terminal's width, for the text.

    Returns:
        the table, as text.

    Raises:
        UsageError: if none of the sets exists, the model can't be loaded, or torchrun is used.
        DataError: if the evaluation of a set failed; the table holds the others.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(f"suite {suite.name}: a suite runs in one process; start it without torchrun")
    _require_sets(suite, request.data)
    request.model.load()  # so that an error in it is reported once
    results: list[SetResult] = []
    failed: list[str] = []
    for group, name in _each(suite):
        result = SetResult(name, group.part, group.group)
        if (request.data / name).is_dir():
            most = request.tasks_per_user or group.tasks_per_user
            own = replace(
                request,
                data=request.data / name,
                protocol=group.protocol,
                tasks_per_user=min(most, group.tasks_per_user),
            )
            try:
                card = evaluate(own, out / name, workers=workers, device=device)
                result = SetResult.of(name, group.part, group.group, card)
            except (DataError, UsageError) as error:
                report_failed(_LOG, str(error), error)
                failed.append(name)
        results.append(result)
    title = f"{suite.name}, {request.split}"
    found = any(result.accuracy is not None for result in results)
    if found:
        for suffix, text in (
            ("txt", suite_text(title, results)),
            ("md", suite_markdown(title, results)),
            ("csv", suite_csv(results)),
            ("html", suite_html(title, results)),
        ):
            write_text(out / f"{TABLE_NAME}.{suffix}", text)
    if failed:
        others = f"; the results of the others are in {out}" if found else ""
        raise DataError(f"{counted(len(failed), 'set')} failed: {', '.join(failed)}{others}")
    return suite_text(title, results, width=width)


def _each(suite: Suite) -> Iterator[tuple[SuiteGroup, str]]:
    for group in suite.groups:
        for name in group.sets:
            yield group, name


def _require_sets(suite: Suite, data: Path) -> None:
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder; expected a folder with one tree for each set of {suite.name}")
    there = {path.name for path in data.iterdir() if path.is_dir()}
    if not there & set(suite.names):
        raise UsageError(
            f"{data}: holds no set of {suite.name}; expected a tree at {data.name}/SET, such as {data.name}/"
            f"{suite.names[0]}; its sets: {', '.join(suite.names)}"
        )
    if others := sorted(name for name in there - set(suite.names) if not name.startswith(".")):
        near = nearest(others[0], suite.names)
        _LOG.warning("note: %s: not part of %s, skipped: %s%s", data, suite.name, listed(others), near)
