"""The verbs that measure how good a recognizer is and what it costs: `predict`, `evaluate`, `cost`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import UsageError
from groundwork.options import Reads, Writes, WritesFolder, add_json
from groundwork.pages.printing import terminal_width
from groundwork.words import counted
from orbit_lite.cli.numbers import not_negative, positive, share
from orbit_lite.cli.options import (
    add_data,
    add_device,
    add_engine,
    add_model,
    add_protocol,
    add_strictness,
    add_workers,
    readers,
)

if TYPE_CHECKING:
    from eval.formats.scorecard import Scorecard
    from orbit_lite.evaluation.causal_filter import CausalFilter
    from orbit_lite.evaluation.evaluate import EvaluateRequest
    from orbit_lite.models.choice import ModelChoice
    from orbit_lite.personal.evaluating.evaluate import PersonalRequest

NOT_WITH_A_PERSONAL_RECOGNIZER = {  # options, and the reason each is refused
    "backbone": "the file has its own backbone",
    "weights": "the file has its own weights",
    "tasks_per_user": "there is one task, with all the objects that it knows",
    "tasks": "there is one task, with all the objects that it knows",
    "set": "there is one task, with all the objects that it knows",
    "plain": "there is only one task",
    "time": "it has already been taught",
    "filter_stay": "it answers each frame by itself",
}

NOT_WITH_A_SUITE = {  # options, and the reason each is refused
    "protocol_keys": "each data set of a suite has its own protocol",
    "tasks": "the data sets are evaluated one by one; use --tasks-per-user to limit each",
    "filter_stay": "the images have no order in time",
    "thumbnails": "the images come from many data sets",
    "user": "a suite has data sets, not users",
    "strictness": "only a personal recognizer has a strictness",
    "plain": "it is for comparing runs on one data set",
    "time": "it is measured for one run",
    "json": "--out gets the table as CSV",
}


def add(verbs: Subparsers) -> None:
    """Add the verbs to the parser of orbit-lite."""
    _add_predict(verbs)
    _add_evaluate(verbs)
    _add_cost(verbs)


def _add_predict(verbs: Subparsers) -> None:
    verb = verbs.add_parser(
        "predict",
        help="predict the query frames of tasks.jsonl and write predictions.parquet",
        description="Predict the query frames of the tasks in tasks.jsonl and write predictions.parquet. Each frame "
        "is embedded only once, even if several tasks use it.",
    )
    add_model(verb)
    add_data(verb)
    verb.add_argument(
        "--tasks",
        type=Reads(),
        required=True,
        metavar="tasks.jsonl",
        help="tasks to predict, a file from 'orbit-lite tasks'",
    )
    verb.add_argument(
        "--out",
        type=Writes("predictions.parquet", binary=True),
        default=Path("predictions.parquet"),
        help="file to write (default: predictions.parquet)",
    )
    _add_filter(verb)
    add_workers(verb)
    add_device(verb)
    add_engine(verb)
    verb.set_defaults(run=_predict)


def _add_filter(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--filter-stay",
        type=share,
        metavar="P",
        help="filter each video's probabilities over time, assuming that the object stays the same from one frame to "
        "the next with probability P, 0 <= P < 1. Uses all earlier frames and no later ones; the cost includes the "
        "extra frames (default: no filter)",
    )


def _predict(options: argparse.Namespace) -> None:
    from data_prep.tree.index import open_index
    from eval.formats.records import read_tasks, write_predictions
    from orbit_lite.data.frames import open_frames
    from orbit_lite.evaluation.engine import choose_run_engine, count_frames
    from orbit_lite.evaluation.evaluate import provenance
    from orbit_lite.evaluation.predict import predict
    from orbit_lite.runs.devices import named_device
    from orbit_lite.runs.ranks import joined_ranks

    choice = _model(options)
    with joined_ranks(named_device(options.device)) as ranks:
        index = ranks.after_first(lambda: open_index(options.data))
        tasks = read_tasks(options.tasks)
        recognizer = choice.load().to(ranks.device)
        source = open_frames(index, size_px=recognizer.extractor.frame_size_px)
        causal_filter = _causal_filter(options)
        engine = choose_run_engine(
            recognizer,
            options.engine,
            None,
            ranks,
            frames=count_frames(tasks),
            states=len({task.user for task in tasks.tasks}),
        )
        table = predict(
            recognizer, tasks, index, source, ranks=ranks, workers=readers(options), causal_filter=causal_filter
        )
        if ranks.first:
            write_predictions(options.out, table, metadata=provenance(choice, tasks, engine, causal_filter))
            say(f"{counted(len(table), 'prediction')} written to {options.out}")


def _add_evaluate(verbs: Subparsers) -> None:
    verb = verbs.add_parser(
        "evaluate",
        help="draw tasks, predict, score and report in one command",
        description="Draw tasks, predict them, compute a scorecard and write a report, all in one folder. Repeat "
        "the command to resume a run that was stopped. --model may also be a personal recognizer, a file from "
        "'orbit-lite personalize': then --protocol own-videos tests it on videos of its user that it was not taught "
        "with, and also scores its 'none of these' answers. If --model is a folder of personal recognizers, each gets "
        "its own run, and one table compares them. --suite runs all data sets of a benchmark and makes one table.",
    )
    add_model(verb)
    add_data(verb)
    add_protocol(verb, or_suite=True)
    verb.add_argument("--out", type=WritesFolder(), required=True, help="the run's folder")
    verb.add_argument(
        "--thumbnails", action="store_true", help="show video frames in the report; they may show people's homes"
    )
    verb.add_argument(
        "--user",
        metavar="NAME",
        help="for a personal recognizer: the user whose videos test it (default: its own user)",
    )
    add_strictness(verb, default="the personal recognizer's own")
    _add_filter(verb)
    verb.add_argument("--plain", action="store_true", help="predict each task separately: slow, for comparison")
    verb.add_argument(
        "--time", action="store_true", help="also measure the seconds to personalize, which vary from run to run"
    )
    add_workers(verb)
    add_device(verb)
    add_engine(verb)
    add_json(verb, "scorecard.json")
    verb.set_defaults(run=_evaluate, resumes=True, of_participants=True)


def _evaluate(options: argparse.Namespace) -> None:
    from eval.formats.scorecard import write_scorecard
    from eval.report import scorecard_text
    from orbit_lite.personal.file import is_personal

    if options.suite is not None:
        say_text(_evaluate_suite(options))
        return
    if Path(options.model).is_dir():
        if options.json:
            raise UsageError("--json takes one recognizer; for a folder of them, --out gets the tables as CSV")
        say_text(_evaluate_participants(options))
        return
    card = _evaluate_personal(options) if is_personal(Path(options.model)) else _evaluate_model(options)
    say_text(scorecard_text(card, width=terminal_width()))
    if options.json:
        write_scorecard(options.json, card)


def _evaluate_model(options: argparse.Namespace) -> "Scorecard":
    for name in ("user", "strictness"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} needs a personal recognizer as --model; {options.model} is not one")
    from orbit_lite.evaluation.evaluate import evaluate
    from orbit_lite.runs.devices import named_device

    return evaluate(
        _request(options, protocol=options.protocol),
        options.out,
        workers=readers(options),
        device=named_device(options.device),
        plain=options.plain,
        thumbnails=options.thumbnails,
        timed=options.time,
    )


def _request(options: argparse.Namespace, *, protocol: str) -> "EvaluateRequest":
    from orbit_lite.evaluation.evaluate import EvaluateRequest

    return EvaluateRequest(
        model=_model(options),
        data=options.data,
        protocol=protocol,
        split=options.split,
        seed=options.seed,
        tasks_per_user=options.tasks_per_user,
        tasks=options.tasks,
        protocol_keys=tuple(options.protocol_keys),
        causal_filter=_causal_filter(options),
        engine=options.engine,
    )


def _evaluate_suite(options: argparse.Namespace) -> str:
    from orbit_lite.evaluation.suite import evaluate_suite, load_suite
    from orbit_lite.personal.file import is_personal
    from orbit_lite.runs.devices import named_device

    for name, why in NOT_WITH_A_SUITE.items():
        if getattr(options, name) not in (None, False, []):
            option = "set" if name == "protocol_keys" else name.replace("_", "-")
            raise UsageError(f"--{option} can't be used with --suite: {why}")
    if Path(options.model).is_dir() or is_personal(Path(options.model)):
        raise UsageError(f"{options.model}: --suite takes a checkpoint or a learner, not personal recognizers")
    suite = load_suite(options.suite)
    return evaluate_suite(
        suite,
        _request(options, protocol=suite.name),
        options.out,
        workers=readers(options),
        device=named_device(options.device),
        width=terminal_width(),
    )


def _evaluate_participants(options: argparse.Namespace) -> str:
    from orbit_lite.personal.evaluating.participants import evaluate_participants
    from orbit_lite.runs.devices import named_device

    if options.user is not None:
        raise UsageError(f"--user needs one personal recognizer; {options.model} is a folder of them")
    return evaluate_participants(
        _personal_request(options),
        options.out,
        workers=readers(options),
        device=named_device(options.device),
        thumbnails=options.thumbnails,
    )


def _evaluate_personal(options: argparse.Namespace) -> "Scorecard":
    from orbit_lite.personal.evaluating.evaluate import evaluate_personal
    from orbit_lite.runs.devices import named_device

    return evaluate_personal(
        _personal_request(options),
        options.out,
        workers=readers(options),
        device=named_device(options.device),
        thumbnails=options.thumbnails,
    )


def _personal_request(options: argparse.Namespace) -> "PersonalRequest":
    from orbit_lite.personal.evaluating.evaluate import PersonalRequest

    for name, why in NOT_WITH_A_PERSONAL_RECOGNIZER.items():
        if getattr(options, "protocol_keys" if name == "set" else name):
            option = name.replace("_", "-")
            raise UsageError(f"--{option} can't be used with the personal recognizer {options.model}: {why}")
    return PersonalRequest(
        file=Path(options.model),
        data=options.data,
        protocol=options.protocol,
        split=options.split,
        seed=options.seed,
        user=options.user,
        strictness=options.strictness,
        engine=options.engine,
    )


def _add_cost(verbs: Subparsers) -> None:
    verb = verbs.add_parser(
        "cost",
        help="measure a recognizer's MACs, parameters, seconds and memory",
        description="Count MACs and parameters, and measure seconds and memory, to personalize on one task and to "
        "recognize one frame.",
    )
    add_model(verb)
    verb.add_argument("--way", type=positive, default=10, help="objects in the task (default: 10)")
    verb.add_argument(
        "--support", type=positive, default=100, help="support frames in the task, over all objects (default: 100)"
    )
    verb.add_argument("--repeats", type=not_negative, default=3, help="timed runs; 0 measures no time (default: 3)")
    verb.add_argument("--out", type=Writes("cost.json"), help="also write the costs to this file, as JSON")
    add_device(verb)
    verb.set_defaults(run=_cost)


def _cost(options: argparse.Namespace) -> None:
    from groundwork.files import write_json
    from orbit_lite.costs.cost import TaskSize, cost, cost_text
    from orbit_lite.runs.devices import named_device

    choice = _model(options, weights="random")  # random weights cost as much as others, and need no download
    task = TaskSize(way=options.way, support=options.support)
    found = cost(choice.load, task, device=named_device(options.device), repeats=options.repeats)
    say_text(cost_text(found, width=terminal_width()))
    if options.out:
        write_json(options.out, found.content())
        say(f"written to {options.out}")


def _causal_filter(options: argparse.Namespace) -> "CausalFilter | None":
    from orbit_lite.evaluation.causal_filter import CausalFilter

    return None if options.filter_stay is None else CausalFilter(options.filter_stay)


def _model(options: argparse.Namespace, *, weights: str = "") -> "ModelChoice":
    from orbit_lite.models.choice import ModelChoice

    return ModelChoice(options.model, options.backbone, options.weights or weights)
