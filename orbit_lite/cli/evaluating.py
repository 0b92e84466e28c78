"""The verbs that say how good a recognizer is, and what it costs: `predict`, `evaluate`, `cost`."""

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

NOT_OF_A_PERSONAL_FILE = {  # options, and why they make no sense there
    "backbone": "it holds its own",
    "weights": "it holds its own",
    "tasks_per_user": "there is one task, of all that it knows",
    "tasks": "there is one task, of all that it knows",
    "set": "there is one task, of all that it knows",
    "plain": "there is one task",
    "time": "it is taught already",
    "filter_stay": "its answers are those of single frames",
}

NOT_OF_A_SUITE = {
    "protocol_keys": "each of its parts has its own protocol",
    "tasks": "its sets are evaluated one by one; --tasks-per-user limits each",
    "filter_stay": "its images have no order in time",
    "thumbnails": "its images are of many sets",
    "user": "it is of data sets",
    "strictness": "it is of data sets",
    "plain": "it is for comparisons of one run",
    "time": "it is measured for one run",
    "json": "--out gets its table as CSV",
}


def add(verbs: Subparsers) -> None:
    """Add the verbs to the parser of orbit-lite."""
    _add_predict(verbs)
    _add_evaluate(verbs)
    _add_cost(verbs)


def _add_predict(verbs: Subparsers) -> None:
    verb = verbs.add_parser("predict", help="tasks to predictions, each frame embedded once")
    add_model(verb)
    add_data(verb)
    verb.add_argument(
        "--tasks", type=Reads(), required=True, metavar="tasks.jsonl", help="what to predict, as 'tasks' writes it"
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
        help="filter each video's probabilities over time: the object on view stays what it was from one frame to the "
        "next with probability P, 0 to below 1. Only earlier frames are used, all of them; the extra ones count as "
        "cost (default: no filter)",
    )


def _predict(options: argparse.Namespace) -> None:
    from data_prep.tree.index import open_index
    from eval.formats.records import read_tasks, write_predictions
    from orbit_lite.data.frames import open_frames
    from orbit_lite.evaluation.engine import count_frames, settle_for_run
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
        engine = settle_for_run(
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
        help="tasks, predict, score and report in one",
        description="Tasks, predictions, scorecard and report of one recognizer, in one folder. The same command "
        "resumes a run that was stopped. --model may also be a personal recognizer, as 'orbit-lite personalize' writes "
        "it: with --protocol own-videos it is asked about one user's videos that did not teach it, and its own 'none "
        "of these' is scored, too. A folder of personal recognizers gives a run for each and one table of all; --suite "
        "does for the data sets of a benchmark.",
    )
    add_model(verb)
    add_data(verb)
    add_protocol(verb, or_suite=True)
    verb.add_argument("--out", type=WritesFolder(), required=True, help="the run's folder")
    verb.add_argument(
        "--thumbnails", action="store_true", help="put frames into the report: pictures of people's homes"
    )
    verb.add_argument("--user", metavar="NAME", help="of a personal recognizer: whose videos (default: its own user's)")
    add_strictness(verb, default="as the personal recognizer has it")
    _add_filter(verb)
    verb.add_argument("--plain", action="store_true", help="predict each task by itself: slow, to compare")
    verb.add_argument(
        "--time", action="store_true", help="also measure seconds to personalize; they differ from run to run"
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
            raise UsageError("--json is of one recognizer; for a folder of them --out gets tables as CSV")
        say_text(_evaluate_participants(options))
        return
    card = _evaluate_personal(options) if is_personal(Path(options.model)) else _evaluate_model(options)
    say_text(scorecard_text(card, width=terminal_width()))
    if options.json:
        write_scorecard(options.json, card)


def _evaluate_model(options: argparse.Namespace) -> "Scorecard":
    for name in ("user", "strictness"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} goes with a personal recognizer as --model; {options.model} is none")
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

    for name, why in NOT_OF_A_SUITE.items():
        if getattr(options, name) not in (None, False, []):
            option = "set" if name == "protocol_keys" else name.replace("_", "-")
            raise UsageError(f"--{option} does not go with --suite: {why}")
    if Path(options.model).is_dir() or is_personal(Path(options.model)):
        raise UsageError(f"{options.model}: --suite is of a model, not of personal recognizers")
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
        raise UsageError(f"--user goes with one personal recognizer; {options.model} is a folder of them")
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

    for name, why in NOT_OF_A_PERSONAL_FILE.items():
        if getattr(options, "protocol_keys" if name == "set" else name):
            option = name.replace("_", "-")
            raise UsageError(f"--{option} does not go with a personal recognizer, which {options.model} is: {why}")
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
    verb = verbs.add_parser("cost", help="MACs, parameters, seconds and memory of a recognizer")
    add_model(verb)
    verb.add_argument("--way", type=positive, default=10, help="objects of the task (default: 10)")
    verb.add_argument("--support", type=positive, default=100, help="support frames in all (default: 100)")
    verb.add_argument("--repeats", type=not_negative, default=3, help="timed runs; 0 only counts (default: 3)")
    verb.add_argument("--out", type=Writes("cost.json"), help="also write it as JSON")
    add_device(verb)
    verb.set_defaults(run=_cost)


def _cost(options: argparse.Namespace) -> None:
    from groundwork.files import write_json
    from orbit_lite.costs.cost import TaskSize, cost, cost_text
    from orbit_lite.runs.devices import named_device

    choice = _model(options, weights="random")  # they cost as much as any, and need no network
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
