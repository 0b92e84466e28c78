"""The one command, `orbit-lite`. Imports nothing heavy until a verb runs, so that --help answers at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.tree.layout import TREE_FILES
from eval.command import add_eval_verbs
from groundwork.command_line import CommandParser, run_command
from groundwork.options import STREAM_HELP, Reads, ReadsOrNames, Writes, WritesFolder, run_verb, with_own_parser
from orbit_lite.cli.numbers import not_negative, positive
from orbit_lite.cli.personalize import add_personal_verbs
from orbit_lite.cli.prep import add_prep_verbs

if TYPE_CHECKING:
    from orbit_lite.models.choice import ModelChoice

EPILOG = f"""
The road: raw videos, frame tree, index.csv, tasks.jsonl, recogniser, predictions.parquet, scorecard.json, report.
Every station is a file; start from any of them. {STREAM_HELP}
Exit status: 0 done, 1 found something wrong, 2 asked for wrongly.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. A user's mistake is one line on stderr and exit status 1 or 2, never a traceback."""
    options = _parser().parse_args(arguments)
    if_stopped = "the same command goes on from here" if options.goes_on else "nothing was written in part"
    return run_command("orbit-lite", options, lambda: run_verb(options), if_stopped=if_stopped)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = CommandParser(
        prog="orbit-lite",
        description="A benchmark kit for teachable object recognisers on ORBIT.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    parser.set_defaults(goes_on=False)  # whether a verb that was stopped goes on where it was
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    demo = verbs.add_parser("demo", help="the whole road on the pocket set, ends with a report", allow_abbrev=False)
    demo.add_argument("--out", type=WritesFolder(), default=Path("demo"), help="folder for all of it (default: demo)")
    demo.add_argument("--seed", type=int, default=0, help="seed of the pocket set and of training (default: 0)")
    demo.set_defaults(run=_demo, goes_on=True)

    add_prep_verbs(verbs)

    tasks = verbs.add_parser("tasks", help="draw a protocol's tasks: plans, no pixels", allow_abbrev=False)
    _add_data(tasks)
    _add_protocol(tasks)
    tasks.add_argument(
        "--out", type=Writes("tasks.jsonl"), default=Path("tasks.jsonl"), help="file to write (default: tasks.jsonl)"
    )
    tasks.set_defaults(run=_tasks)

    train = verbs.add_parser("train", help="meta-train a recogniser with LITE; resumes --out", allow_abbrev=False)
    train.add_argument("config", type=ReadsOrNames(), help="an experiment: a YAML file, or the name of a built-in one")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="for example optimizer.lr=0.001 epochs=5")
    _add_data(train)
    train.add_argument("--out", type=WritesFolder(), required=True, help="the run's folder")
    train.add_argument("--tensorboard", action="store_true", help="log to OUT/tensorboard, too (an extra to install)")
    _add_machine(train)
    train.set_defaults(run=_train, goes_on=True)

    convert = verbs.add_parser("convert", help="a published checkpoint to one of ours", allow_abbrev=False)
    convert.add_argument(
        "published",
        metavar="PUBLISHED.pth",
        type=Reads(),
        help="state dict of the published code, or ours without a hash",
    )
    convert.add_argument(
        "--learner", type=ReadsOrNames(), help="of a published one: protonets, cnaps, ..., or a YAML file"
    )
    convert.add_argument("--backbone", help="of a published one: efficientnet_b0, vit_b_32_clip, ...")
    convert.add_argument("--frame-size", type=positive, help="side of its frames in pixels (default: 224)")
    convert.add_argument(
        "--out", type=Writes("CKPT.safetensors", binary=True), required=True, help="file to write, CKPT.safetensors"
    )
    convert.set_defaults(run=_convert)

    predict = verbs.add_parser("predict", help="tasks to predictions, each frame embedded once", allow_abbrev=False)
    _add_model(predict)
    _add_data(predict)
    predict.add_argument("--tasks", type=Reads(), required=True, help="tasks.jsonl, as 'tasks' writes it")
    predict.add_argument(
        "--out",
        type=Writes("predictions.parquet", binary=True),
        default=Path("predictions.parquet"),
        help="file to write (default: predictions.parquet)",
    )
    _add_machine(predict)
    predict.set_defaults(run=_predict)

    evaluate = verbs.add_parser(
        "evaluate",
        help="tasks, predict, score and report in one",
        description="Tasks, predictions, scorecard and report of one recogniser, in one folder. A run that was stopped "
        "goes on where it was: give the same command again.",
        allow_abbrev=False,
    )
    _add_model(evaluate)
    _add_data(evaluate)
    _add_protocol(evaluate)
    evaluate.add_argument("--out", type=WritesFolder(), required=True, help="the run's folder")
    evaluate.add_argument(
        "--thumbnails", action="store_true", help="put frames into the report: pictures of people's homes"
    )
    evaluate.add_argument("--plain", action="store_true", help="predict each task by itself: slow, to compare")
    evaluate.add_argument(
        "--time", action="store_true", help="measure seconds to personalise, too; they differ from run to run"
    )
    _add_machine(evaluate)
    evaluate.set_defaults(run=_evaluate, goes_on=True)

    cost = verbs.add_parser("cost", help="MACs, parameters, seconds and memory of a recogniser", allow_abbrev=False)
    _add_model(cost)
    cost.add_argument("--way", type=positive, default=10, help="objects of the task (default: 10)")
    cost.add_argument("--support", type=positive, default=100, help="support frames in all (default: 100)")
    cost.add_argument("--repeats", type=not_negative, default=3, help="timed runs; 0 only counts (default: 3)")
    cost.add_argument("--out", type=Writes("cost.json"), help="write it as JSON, too")
    cost.add_argument("--device", default="", help="cpu, cuda, ... (default: cuda where there is one)")
    cost.set_defaults(run=_cost)

    add_personal_verbs(verbs)
    add_eval_verbs(verbs)
    return with_own_parser(parser)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from orbit_lite import __version__

        print(f"orbit-lite {__version__}")
        parser.exit()


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Reads(TREE_FILES), required=True, help="a frame tree, packed or not, or a tree of raw videos"
    )


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--protocol",
        type=ReadsOrNames(),
        required=True,
        help="orbit-2022, orbit-2021-clu-ve, own-videos, ... or a YAML file",
    )
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    parser.add_argument("--seed", type=int, default=1991, help="seed of the tasks (default: 1991)")
    parser.add_argument("--tasks-per-user", type=positive, help="fewer or more tasks than the protocol's")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=ReadsOrNames(), required=True, help="a checkpoint, or a learner's name with --backbone"
    )
    parser.add_argument("--backbone", default="", help="for a learner's name: tiny, efficientnet_b0, ...")
    parser.add_argument(
        "--weights", type=ReadsOrNames(), default="", help="for a backbone: pretrained, random, or a file"
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=not_negative, help="processes that read ahead (default: by cores, 0 on two)")
    parser.add_argument("--device", default="", help="cpu, cuda, ... (default: cuda where there is one)")


def _demo(options: argparse.Namespace) -> None:
    from orbit_lite.demo import run_demo

    print(run_demo(options.out, seed=options.seed))


def _tasks(options: argparse.Namespace) -> None:
    from data_prep.tree.annotated_videos import TreeAnnotations
    from data_prep.tree.index import open_index
    from eval.formats.records import write_tasks
    from orbit_lite.config import load_protocol
    from orbit_lite.data.tasks import TaskDrawer

    plan = load_protocol(options.protocol)
    annotations = TreeAnnotations(open_index(options.data))
    drawer = TaskDrawer(annotations.index, plan, split=options.split, seed=options.seed, annotations=annotations)
    annotations.read_all(drawer.split)  # scoring reads them all: what is wrong is said now
    task_set = drawer.draw_all(tasks_per_user=options.tasks_per_user)
    write_tasks(options.out, task_set)
    print(f"{len(task_set.tasks)} tasks of {len(drawer.users)} users written to {options.out}")
    for entry in task_set.left_out:
        print(f"left out: user {entry.user}, {entry.object} {entry.video}: {entry.reason}")


def _train(options: argparse.Namespace) -> None:
    from orbit_lite.runs.devices import named_device
    from orbit_lite.training.experiment import load_experiment
    from orbit_lite.training.loop import train

    config = load_experiment(options.config, options.overrides)
    summary = train(
        config,
        data=options.data,
        out=options.out,
        workers=_workers(options),
        device=named_device(options.device),
        tensorboard=options.tensorboard,
    )
    if summary.validation_frame_accuracy is None:
        print(f"nothing to meta-train in learner {config.learner.name}; written as it is: {summary.best}")
        return
    print(
        f"best on validation users: {100 * summary.validation_frame_accuracy:.1f} % frame accuracy, "
        f"step {summary.best_step} of {summary.steps}: {summary.best}"
    )


def _convert(options: argparse.Namespace) -> None:
    from orbit_lite.models.convert import convert

    done = convert(
        options.published,
        options.out,
        learner=options.learner,
        backbone=options.backbone,
        frame_size_px=options.frame_size,
    )
    arithmetic = ", published arithmetic" if done.learner and done.learner.published_quirks else ""
    print(f"{options.out}: {sum(value.numel() for value in done.parameters())} parameters{arithmetic}")


def _predict(options: argparse.Namespace) -> None:
    from data_prep.tree.index import open_index
    from eval.formats.records import read_tasks, write_predictions
    from orbit_lite.data.frames import open_frames
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
        table = predict(recognizer, tasks, index, source, ranks=ranks, workers=_workers(options))
        if ranks.first:
            write_predictions(options.out, table, metadata=provenance(choice, tasks))
            print(f"{len(table)} predictions written to {options.out}")


def _evaluate(options: argparse.Namespace) -> None:
    from eval.report import scorecard_text
    from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
    from orbit_lite.runs.devices import named_device

    request = EvaluateRequest(
        model=_model(options),
        data=options.data,
        protocol=options.protocol,
        split=options.split,
        seed=options.seed,
        tasks_per_user=options.tasks_per_user,
    )
    card = evaluate(
        request,
        options.out,
        workers=_workers(options),
        device=named_device(options.device),
        plain=options.plain,
        thumbnails=options.thumbnails,
        timed=options.time,
    )
    print(scorecard_text(card), end="")


def _cost(options: argparse.Namespace) -> None:
    from groundwork.files import write_json
    from orbit_lite.costs.cost import TaskSize, cost, cost_text
    from orbit_lite.runs.devices import named_device

    choice = _model(options, weights="random")  # costs as much as any, and is to be had without a network
    task = TaskSize(way=options.way, support=options.support)
    found = cost(choice.load, task, device=named_device(options.device), repeats=options.repeats)
    print(cost_text(found), end="")
    if options.out:
        write_json(options.out, found.content())
        print(f"written to {options.out}")


def _model(options: argparse.Namespace, *, weights: str = "") -> "ModelChoice":
    from orbit_lite.models.choice import ModelChoice

    return ModelChoice(options.model, options.backbone, options.weights or weights)


def _workers(options: argparse.Namespace) -> int:
    from orbit_lite.data.loader import default_workers

    return default_workers() if options.workers is None else int(options.workers)


if __name__ == "__main__":
    sys.exit(main())
