"""The verbs that come before evaluation: `tasks`, `train`, `convert`."""

import argparse
from pathlib import Path

from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import UsageError
from groundwork.options import Reads, ReadsOrNames, Writes, WritesFolder
from groundwork.words import counted
from orbit_lite.cli.numbers import positive
from orbit_lite.cli.options import add_data, add_device, add_protocol, add_workers, readers


def add(verbs: Subparsers) -> None:
    """Add the verbs to the parser of orbit-lite."""
    _add_tasks(verbs)
    _add_train(verbs)
    _add_convert(verbs)


def _add_tasks(verbs: Subparsers) -> None:
    verb = verbs.add_parser(
        "tasks",
        help="draw a protocol's tasks and write tasks.jsonl",
        description="Draw a protocol's tasks and write tasks.jsonl, which lists the support and query frames of each "
        "task. This reads no pixels.",
    )
    add_data(verb)
    add_protocol(verb)
    verb.add_argument(
        "--out", type=Writes("tasks.jsonl"), default=Path("tasks.jsonl"), help="file to write (default: tasks.jsonl)"
    )
    verb.set_defaults(run=_tasks)


def _tasks(options: argparse.Namespace) -> None:
    from data_prep.tree.annotated_videos import TreeAnnotations
    from data_prep.tree.index import open_index
    from eval.formats.records import write_tasks
    from orbit_lite.config import load_protocol
    from orbit_lite.data.samplers import open_sampler

    plan = load_protocol(options.protocol, options.protocol_keys)
    annotations = TreeAnnotations(open_index(options.data))
    sampler = open_sampler(annotations.index, plan, split=options.split, seed=options.seed, annotations=annotations)
    annotations.read_all(sampler.split)  # scoring reads them all, so report faults now
    task_set = sampler.draw_all(tasks_per_user=options.tasks_per_user, tasks=options.tasks)
    write_tasks(options.out, task_set)
    say(f"{counted(len(task_set.tasks), 'task')} of {counted(len(sampler.users), 'user')} written to {options.out}")
    for entry in task_set.left_out:
        place = f"{entry.object} {entry.video}".rstrip()  # no video: all of the object
        say(f"left out: user {entry.user}, {place}: {entry.reason}")


def _add_train(verbs: Subparsers) -> None:
    verb = verbs.add_parser(
        "train",
        help="meta-train a recognizer with LITE",
        description="Meta-train a recognizer with LITE. Repeat the command to resume a run that was stopped.",
    )
    verb.add_argument(
        "config", type=ReadsOrNames(), nargs="?", help="experiment to run: a YAML file, or the name of a built-in one"
    )
    verb.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="change keys of the experiment, for example optimizer.lr=0.001 epochs=5",
    )
    add_data(verb, required=False)
    verb.add_argument("--out", type=WritesFolder(), help="the run's folder")
    verb.add_argument("--list", action="store_true", help="list the built-in experiments and exit")
    verb.add_argument(
        "--show", action="store_true", help="show every key of the experiment and where its value comes from, then exit"
    )
    verb.add_argument(
        "--more-epochs", type=positive, default=0, metavar="N", help="train a finished run for N more epochs"
    )
    verb.add_argument(
        "--tensorboard", action="store_true", help="also log to OUT/tensorboard (needs orbit-lite[tensorboard])"
    )
    add_workers(verb)
    add_device(verb)
    verb.set_defaults(run=_train, resumes=True)


def _train(options: argparse.Namespace) -> None:
    if options.list:
        from orbit_lite.training.key_table import experiments_text

        say_text(experiments_text())
        return
    if options.config is None:
        raise UsageError("the experiment is missing; 'orbit-lite train --list' lists the built-in ones")
    if options.show:
        from orbit_lite.training.key_table import experiment_keys, keys_text

        say_text(keys_text(experiment_keys(options.config, options.overrides)))
        return
    if missing := [f"--{name}" for name in ("data", "out") if getattr(options, name) is None]:
        raise UsageError(f"{' and '.join(missing)}: missing; 'train' reads --data and writes --out")
    from orbit_lite.runs.devices import named_device
    from orbit_lite.training.experiment import load_experiment
    from orbit_lite.training.loop import train

    config = load_experiment(options.config, options.overrides)
    summary = train(
        config,
        data=options.data,
        out=options.out,
        workers=readers(options),
        device=named_device(options.device),
        tensorboard=options.tensorboard,
        more_epochs=options.more_epochs,
    )
    if summary.validation_frame_accuracy is None:
        say(f"learner {config.learner.name} has nothing to meta-train; saved unchanged: {summary.best}")
        return
    say(
        f"best frame accuracy on validation users: {100 * summary.validation_frame_accuracy:.1f} %, "
        f"at step {summary.best_step} of {summary.steps}: {summary.best}"
    )


def _add_convert(verbs: Subparsers) -> None:
    verb = verbs.add_parser("convert", help="convert a published checkpoint to this kit's format")
    verb.add_argument(
        "published",
        metavar="PUBLISHED.pth",
        type=Reads(),
        help="state dict of the published code, or a checkpoint of this kit that has no hash",
    )
    verb.add_argument(
        "--learner",
        type=ReadsOrNames(),
        help="learner of a published checkpoint: protonets, cnaps, ..., or a YAML file",
    )
    verb.add_argument("--backbone", help="backbone of a published checkpoint: efficientnet_b0, vit_b_32_clip, ...")
    verb.add_argument(
        "--frame-size", type=positive, help="side of a published checkpoint's frames in pixels (default: 224)"
    )
    verb.add_argument(
        "--out", type=Writes("CKPT.safetensors", binary=True), required=True, help="file to write, CKPT.safetensors"
    )
    verb.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    from orbit_lite.models.convert import convert

    done = convert(
        options.published,
        options.out,
        learner=options.learner,
        backbone=options.backbone,
        frame_size_px=options.frame_size,
    )
    arithmetic = ", with the published code's arithmetic" if done.learner and done.learner.published_quirks else ""
    say(f"{options.out}: {sum(value.numel() for value in done.parameters())} parameters{arithmetic}")
