"""`python -m benchmarks [NAME ...]`: run benchmarks, print each as a table, and keep it as CSV."""

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
    "steps-gpu": lite.run_steps_on_gpu,
    "studio": studio.run,
}
ABOUT = {
    "embed-gpu": "images embedded a second on a GPU, beside what its arithmetic and its memory would allow",
    "engines": "images embedded a second by each engine, beside PyTorch's eager mode; how much features differ",
    "episodes": "plans drawn from an index of a million images, and 600 tasks of 5-way 5-shot, each with its bar",
    STUDY: "meta-training on drawn things in the same memory: whole tasks with LITE, small tasks, small images",
    "evaluate": "predictions for 50 tasks a user: each frame embedded once, or for each task anew",
    "export": "a personal recognizer in the kit, in ONNX, in ONNX of 8 bits: accuracy, size, time of a frame",
    "extract": "1080p video to JPEG frames: ffmpeg, or the kit; memory of a worker",
    "frames": "frames a second on one core: uint8, or PIL and float32; from files, or packed",
    "index": "seconds until an unchanged tree's index is there: checked, or listed anew",
    "lite": "seconds and memory of one task's gradient: LITE, or one graph over the whole task",
    "lite-gpu": "the same on a GPU",
    "maml": "seconds and memory of one task's gradient through an inner loop or a solution, each with its bar",
    "personalize": "a user's phone videos to a recognizer: the whole verb, or decoding and embedding alone",
    "readers": "a video by each reader, in order and every 30th picture: processor seconds, memory",
    "real": "real photos or videos, which --data gives: what is recognized, what is promised, and what came of it",
    "recognize": "a video's or a stream's frames answered, a second: the verb, or decoding and embedding; memory",
    "steps-gpu": "one training step of each learner on each extractor, N = 1,000, on a GPU",
    "studio": "the local page's live answers: how many a second, how late, beside what is asked",
    "video": "every video below --tree, picture by picture: the kit's reader, or the ffmpeg command",
}
REAL, VIDEO = "real", "video"  # of a tree that is given, not made
WITH_OPTIONS = (REAL, VIDEO, STUDY)  # which have an option and a table of their own each
ON_GPU = ("embed-gpu", "lite-gpu", "steps-gpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all. Exit status 0 done, 1 found something wrong, 2 asked for wrongly."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in ABOUT]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(ABOUT)}")
    return run_command("benchmarks", options, lambda: run_verb(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks",
        description="Speed and memory of the kit beside the plain way of doing the same work.",
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
    """The named benchmarks, or all that can be run here."""
    if (REAL in names) != (data is not None):
        raise UsageError("real and --data go together: the tree of users' folders that it is measured on")
    if (VIDEO in names) != (tree is not None):
        raise UsageError("video and --tree go together: the folder of videos that both readers are given")
    if (STUDY in names) != (runs is not None):
        raise UsageError(f"{STUDY} and --runs go together: the folder of its pictures and runs")
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
                raise UsageError(f"{name}: no CUDA device here")
            print(f"{name}: left out, no CUDA device here\n", flush=True)
            continue
        print(f"{name}, on {hardware(gpu=gpu)}", flush=True)  # before the minutes that it takes
        comparisons = BENCHMARKS[name]()
        print(text_table(comparison_table(ABOUT[name], comparisons), width=terminal_width()))
        print(f"{write_csv(out, name, comparisons, gpu=gpu)}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
