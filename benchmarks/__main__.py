"""`python -m benchmarks [NAME ...]`: runs benchmarks, prints each as a table, and writes it as CSV."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks import (
    embed,
    engines,
    episodes,
    episodes_study,
    evaluate,
    export,
    extract,
    frames,
    index,
    lite,
    maml,
    personalize,
    readers,
    real,
    recognize,
    scale,
    studio,
    video,
)
from benchmarks.episodes_study_report import NAME as STUDY
from benchmarks.episodes_study_report import arms_table, write_runs
from benchmarks.measure import Comparison
from benchmarks.record import comparison_table, hardware, write_csv
from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import CommandParser, run_command
from groundwork.errors import UsageError
from groundwork.options import Reads, WritesFolder, run_verb, with_own_parser
from groundwork.pages.printing import terminal_width, text_table

RESULTS = Path(__file__).resolve().parent / "results"
BENCHMARKS: dict[str, Callable[[], list[Comparison]]] = {
    "embed-gpu": embed.run_on_gpu,
    "engines": engines.run,
    "episodes": episodes.run,
    "evaluate": evaluate.run,
    "export": export.run,
    "extract": extract.run,
    "frames": frames.run,
    "index": index.run,
    "lite": lite.run,
    "lite-gpu": lite.run_on_gpu,
    "maml": maml.run,
    "personalize": personalize.run,
    "readers": readers.run,
    "recognize": recognize.run,
    "scale": scale.run,
    "steps-gpu": lite.run_steps_on_gpu,
    "studio": studio.run,
}
ABOUT = {
    "embed-gpu": "images embedded per second on a GPU, compared with the limits of its arithmetic and memory",
    "engines": "images embedded per second by each engine, compared with PyTorch's eager mode; differences of features",
    "episodes": "plans drawn from an index of a million images, and 600 tasks of 5-way 5-shot, each with its target",
    STUDY: "meta-training on drawn objects in the same memory: whole tasks with LITE, small tasks, small images",
    "evaluate": "predictions for 50 tasks per user: each frame embedded once, or again for each task",
    "export": "a personal recognizer in the kit, in ONNX and in 8-bit ONNX: accuracy, size, time per frame",
    "extract": "1080p video to JPEG frames: ffmpeg or the kit; memory of a worker",
    "frames": "frames per second on one core: uint8, or PIL and float32; from files, or packed",
    "index": "seconds to open an unchanged tree's index: checked, or listed again",
    "lite": "seconds and memory of one task's gradient: LITE, or one graph over the whole task",
    "lite-gpu": "lite on a GPU",
    "maml": "seconds and memory of one task's gradient through an inner loop or a solution, each with its target",
    "personalize": "a user's phone videos to a recognizer: the whole command, or only decoding and embedding",
    "readers": "one video by each reader, every picture and every 30th: CPU seconds, memory",
    "real": "real photos or videos from --data: accuracy, the kit's estimates of it, and how well they hold",
    "recognize": "frames answered per second, of a video or a stream: the command, or decoding and embedding; memory",
    "scale": "one process compared with two; CPU time and bytes per frame and user; a disk that is slow to seek",
    "steps-gpu": "one training step of each learner on each extractor, N = 1,000, on a GPU",
    "studio": "the local page's live answers: rate and latency, compared with the target",
    "video": "every video below --tree, picture by picture: the kit's reader compared with the ffmpeg command",
}
REAL, VIDEO = "real", "video"  # they need a given tree
WITH_OPTIONS = (REAL, VIDEO, STUDY)  # each has its own option and table
ON_GPU = ("embed-gpu", "lite-gpu", "steps-gpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all. Exit status: 0 success, 1 data problem, 2 usage error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in ABOUT]:
        parser.error(f"unknown benchmark {unknown[0]!r}; known: {', '.join(ABOUT)}")
    return run_command("benchmarks", options, lambda: run_verb(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks",
        description="Measure the kit's speed and memory against the plain way of doing the same work.",
        epilog="Benchmarks:\n" + "\n".join(f"  {name}: {about}" for name, about in ABOUT.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument(
        "--out", type=WritesFolder(), default=RESULTS, help="folder of the CSV files (default: benchmarks/results)"
    )
    parser.add_argument(
        "--data", type=Reads(TREE_FILES), metavar="DIR", help="for real: DIR/USER/OBJECT/{clean,clutter}/..."
    )
    parser.add_argument(
        "--tree", type=Reads(TREE_FILES), metavar="DIR", help="for video: a folder of videos, in folders or not"
    )
    parser.add_argument(
        "--runs", type=WritesFolder(), metavar="DIR", help=f"for {STUDY}: a folder for pictures and runs; resumes there"
    )
    parser.set_defaults(run=lambda options: _run(options.names, options.out, options.data, options.tree, options.runs))
    return with_own_parser(parser)


def _run(names: Sequence[str], out: Path, data: Path | None, tree: Path | None, runs: Path | None) -> None:
    """Run the named benchmarks, or all that this machine can run."""
    if (REAL in names) != (data is not None):
        raise UsageError(
            "benchmark real and --data must be used together; --data is the tree of users' folders to measure on"
        )
    if (VIDEO in names) != (tree is not None):
        raise UsageError(
            "benchmark video and --tree must be used together; --tree is the folder of videos for both readers"
        )
    if (STUDY in names) != (runs is not None):
        raise UsageError(
            f"benchmark {STUDY} and --runs must be used together; --runs is the folder for its pictures and runs"
        )
    for name in names or BENCHMARKS:
        if name == REAL and data is not None:
            judgements = real.run(data)
            print(text_table(real.means_table(judgements), width=terminal_width()))
            print(f"{real.write_runs(out, judgements)}\n", flush=True)
            continue
        if name == VIDEO and tree is not None:
            judged = video.run(tree)
            for line in video.disagreements(judged):
                print(line)
            print(text_table(video.counts_table(judged), width=terminal_width()))
            print(f"{video.write_judged(out, judged)}\n", flush=True)
            continue
        if name == STUDY and runs is not None:
            trained = episodes_study.run(runs, episodes_study.WHOLE)
            print(text_table(arms_table(trained), width=terminal_width()))
            print(f"{write_runs(out, trained, hardware=hardware())}\n", flush=True)
            continue
        gpu = name in ON_GPU
        if gpu and not torch.cuda.is_available():
            if names:
                raise UsageError(f"{name}: this machine has no CUDA device")
            print(f"{name}: skipped, because this machine has no CUDA device\n", flush=True)
            continue
        print(f"{name}, on {hardware(gpu=gpu)}", flush=True)  # printed first, because the run takes minutes
        comparisons = BENCHMARKS[name]()
        print(text_table(comparison_table(ABOUT[name], comparisons), width=terminal_width()))
        print(f"{write_csv(out, name, comparisons, gpu=gpu)}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
