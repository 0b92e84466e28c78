"""The evaluation commands, for the command lines of `python -m eval` and `orbit-lite`.

Imports are inside the functions, so that --help does not wait for pandas.
"""

import argparse
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import DataError
from groundwork.files import write_json
from groundwork.lock import only_run
from groundwork.options import Changes, Reads, Writes, add_json
from groundwork.outputs import Protected
from groundwork.pages.printing import terminal_width
from groundwork.words import counted

RUN_FILES = Protected(  # files in a run's folder, as written by train and evaluate
    names=(
        *("run.json", "log.txt", "best.safetensors", "state.pt", "training.csv"),
        *("tasks.jsonl", "predictions.parquet", "scorecard.json", "results.json", "seconds_to_personalize.csv"),
        "seconds_to_personalise.csv",  # its name in earlier releases
        *("report.html", "report.md", "overall.csv", "per_task.csv", "per_object.csv", "per_video.csv", "per_user.csv"),
        *("confusion.csv", "by_annotation.csv", "cost.csv", "cost_per_task.csv", "timelines.csv"),
        "answers_curve.csv",
    ),
    suffixes=(".svg",),
)


def add_eval_verbs(verbs: Subparsers) -> None:
    """Add score, check, compare, leaderboard, results and report to a parser; each sets `run`."""
    for add in (_add_score, _add_check, _add_compare, _add_leaderboard, _add_results, _add_report):
        add(verbs)


def _add_score(verbs: Subparsers) -> None:
    verb = verbs.add_parser("score", help="check predictions and compute their scorecard")
    _add_predictions(verb)
    verb.add_argument(
        "--out", type=Writes("scorecard.json"), required=True, metavar="scorecard.json", help="file to write"
    )
    add_json(verb, "scores.json")
    verb.set_defaults(run=_score)


def _score(chosen: argparse.Namespace) -> None:
    from eval.formats.scorecard import write_scorecard
    from eval.report import scorecard_text
    from eval.verbs import score_files

    scorecard = score_files(chosen.tasks, chosen.predictions, chosen.out)
    say_text(scorecard_text(scorecard, width=terminal_width()))
    say("")
    say(f"Scorecard: {chosen.out}")
    if chosen.json:
        write_scorecard(chosen.json, scorecard)


def _add_check(verbs: Subparsers) -> None:
    verb = verbs.add_parser("check", help="list every fault in a predictions file, without scoring it")
    _add_predictions(verb)
    verb.set_defaults(run=_check)


def _check(chosen: argparse.Namespace) -> None:
    from eval.verbs import check_files

    faults = check_files(chosen.tasks, chosen.predictions)
    for fault in faults:
        say(str(fault))
    if faults:
        raise DataError(f"{chosen.predictions}: {counted(len(faults), 'fault')}")
    say(f"{chosen.predictions}: complete and valid")


def _add_compare(verbs: Subparsers) -> None:
    verb = verbs.add_parser("compare", help="compare two scorecards of the same tasks, with paired differences")
    verb.add_argument("a", type=Reads(RUN_FILES), metavar="A", help="a scorecard.json, or a run folder")
    verb.add_argument(
        "b", type=Reads(RUN_FILES), metavar="B", help="a second one, of the same tasks; differences are B minus A"
    )
    verb.add_argument(
        "--out",
        type=Writes("comparison.txt"),
        metavar="FILE",
        help="also write the comparison to a .txt, .md or .json file",
    )
    add_json(verb, "comparison.json")
    verb.set_defaults(run=_compare)


def _compare(chosen: argparse.Namespace) -> None:
    from eval.compare import comparison_text
    from eval.verbs import compare_files

    comparison = compare_files(chosen.a, chosen.b, chosen.out)
    say_text(comparison_text(comparison, width=terminal_width()))
    _say_written(chosen.out)
    if chosen.json:
        write_json(chosen.json, comparison.model_dump(mode="json"))


def _add_leaderboard(verbs: Subparsers) -> None:
    verb = verbs.add_parser("leaderboard", help="show published results and yours, one table per protocol")
    verb.add_argument("runs", type=Reads(RUN_FILES), nargs="*", metavar="RUN", help="a run folder, or a scorecard.json")
    verb.add_argument(
        "--out",
        type=Writes("leaderboard.txt"),
        metavar="FILE",
        help="also write the leaderboard to a .txt, .md, .csv or .html file",
    )
    add_json(verb, "leaderboard.json")
    verb.set_defaults(run=_leaderboard)


def _leaderboard(chosen: argparse.Namespace) -> None:
    from eval.leaderboard import leaderboard_text
    from eval.verbs import leaderboard_of

    boards = leaderboard_of(chosen.runs, chosen.out)
    say_text(leaderboard_text(boards, width=terminal_width()))
    _say_written(chosen.out)
    if chosen.json:
        write_json(chosen.json, {"boards": [asdict(board) for board in boards]})


def _add_results(verbs: Subparsers) -> None:
    verb = verbs.add_parser("results", help="convert predictions.parquet to the results.json of an ORBIT challenge")
    verb.add_argument("--tasks", type=Reads(), required=True, metavar="tasks.jsonl", help="tasks that were predicted")
    verb.add_argument(
        "--predictions", type=Reads(), required=True, metavar="predictions.parquet", help="predictions to convert"
    )
    verb.add_argument("--form", choices=("2022", "2023"), default="2023", help="year of the challenge (default: 2023)")
    verb.add_argument(
        "--scorecard", type=Reads(), metavar="scorecard.json", help="scorecard to take each task's MACs from"
    )
    verb.add_argument("--out", type=Writes("results.json"), required=True, metavar="results.json", help="file to write")
    verb.set_defaults(run=_results)


def _results(chosen: argparse.Namespace) -> None:
    from eval.verbs import write_results_file

    write_results_file(chosen.tasks, chosen.predictions, chosen.out, form=chosen.form, scorecard=chosen.scorecard)
    say(f"Results in the form of {chosen.form}: {chosen.out}")


def _add_report(verbs: Subparsers) -> None:
    verb = verbs.add_parser("report", help="write report.html, report.md and CSV files from a run's scorecard.json")
    verb.add_argument("run_dir", type=Changes(), metavar="RUN", help="a folder with scorecard.json")
    verb.add_argument(
        "--video", action="append", default=[], help="add this video's timeline to the report; may be repeated"
    )
    verb.set_defaults(run=_report)


def _report(chosen: argparse.Namespace) -> None:
    from eval.verbs import report_run

    run = chosen.run_dir
    with only_run(run) if run.is_dir() else nullcontext():  # `evaluate` may be writing there
        report_run(run, videos=chosen.video)
    say(f"Report: {run / 'report.html'} and report.md; data as CSV beside them")


def _add_predictions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tasks",
        type=Reads(),
        metavar="tasks.jsonl",
        help="tasks that were to be predicted; not needed for a results.json",
    )
    parser.add_argument(
        "--predictions", type=Reads(), required=True, metavar="FILE", help="predictions.parquet or a results.json"
    )


def _say_written(out: Path | None) -> None:
    if out is not None:
        say("")
        say(f"Written: {out}")
