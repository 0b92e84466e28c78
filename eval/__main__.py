"""`python -m eval score …` and `python -m eval report RUN`: evaluation alone, on a machine without torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import KitError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 done, 1 found wrong, 2 asked wrong."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except KitError as error:
        print(f"eval: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"eval: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description="Score predictions and report on them.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    score = verbs.add_parser("score", help="tasks and predictions to a scorecard")
    score.add_argument("--tasks", type=Path, required=True, metavar="tasks.jsonl")
    score.add_argument("--predictions", type=Path, required=True, metavar="predictions.parquet")
    score.add_argument("--out", type=Path, required=True, metavar="scorecard.json")
    score.set_defaults(run=_score)
    report = verbs.add_parser("report", help="a run folder's scorecard.json to report.html, report.md and CSVs")
    report.add_argument("run_dir", type=Path, metavar="RUN")
    report.set_defaults(run=_report)
    return parser


def _score(chosen: argparse.Namespace) -> None:
    from eval.report import scorecard_text  # here, so that --help does not wait for pandas
    from eval.verbs import score_files

    scorecard = score_files(chosen.tasks, chosen.predictions, chosen.out)
    print(scorecard_text(scorecard), end="")
    print(f"\nScorecard: {chosen.out}")


def _report(chosen: argparse.Namespace) -> None:
    from eval.verbs import report_run

    report_run(chosen.run_dir)
    print(f"Report: {chosen.run_dir / 'report.html'} and report.md; data as CSV beside them")


if __name__ == "__main__":
    sys.exit(main())
