"""How well "none of these" is told: things left out of the teaching, in a tree whose users have clutter videos.

    python -m benchmarks.unknown --model demo/train/best.safetensors --data demo/frames --split validation

Each object of each user is left out once: the others are taught with their clean videos, and then the clutter videos of
all are looked at, in the frames that show the object. Other things of the user lie about in them, so that a strange
object's video may well hold a taught one, too: the numbers are hard on the recogniser.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from data_prep.tree.annotation_judge import read_annotations
from data_prep.tree.annotations import all_of, select_frames
from data_prep.tree.index import Index, VideoRow, open_index
from data_prep.tree.layout import TREE_FILES, annotation_path
from groundwork.command_line import CommandParser, run_command
from groundwork.errors import AskedWrong
from groundwork.files import csv_text, write_text
from groundwork.options import Reads, Writes, run_verb, with_own_parser
from groundwork.pages.printing import terminal_width, text_table
from groundwork.pages.table import Column, Table
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import to_images
from orbit_lite.models.checkpoint import load_recognizer
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo
from orbit_lite.personal.teaching.sampling import Sampling
from orbit_lite.personal.teaching.teach import teach_features

FALSE_ALARMS = 0.05
EVERY = 3  # clutter frames: neighbours are nearly the same

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What a recogniser made of frames, (f,) each: whether its likeliest object was right (False for a strange one's
    frames), how familiar they were, and the confidence, softmax of the likeliest."""

    right: NDArray[np.bool_]
    familiarity: Numbers
    confidence: Numbers


@dataclass(frozen=True)
class Row:
    """One user with one object left out; everything a share of frames, in [0, 1].

    accuracy: of known frames, nothing ever refused. auroc: known against strange, by familiarity, and by confidence.
    accuracy_at: of known frames, right and not refused, where FALSE_ALARMS of the strange frames pass (a threshold that
    only the strange frames can give), by familiarity and by confidence. balanced_*: with the threshold found on the
    support set alone, accuracy and strange frames that pass. asked_*: the same, asked for FALSE_ALARMS.
    """

    accuracy: float
    auroc: float
    auroc_confidence: float
    accuracy_at: float
    accuracy_at_confidence: float
    balanced_accuracy: float
    balanced_false_alarms: float
    asked_accuracy: float
    asked_false_alarms: float


def study(recognizer: Recognizer, index: Index, *, split: str) -> list[Row]:
    """A row for each user of a split and each of their objects.

    Raises:
        AskedWrong: if the recogniser adapts its extractor, or the split has no user.
        FoundWrong: if frames or annotations can't be read.
    """
    if not recognizer.shares_features:
        raise AskedWrong("a learner that adapts its extractor is not studied here: expected one such as protonets")
    users = index.users(split)
    if not users:
        raise AskedWrong(f"{index.root}: no users in split {split!r}")
    source = open_frames(index, size_px=recognizer.extractor.frame_size_px)
    return [row for user in users for row in _of_user(recognizer, index, source, split, user)]


def means_table(rows: Sequence[Row]) -> Table:
    """Means over rows, in percent but for the areas."""
    mean = {field.name: float(np.mean([getattr(row, field.name) for row in rows])) for field in fields(Row)}
    share = {name: f"{100 * value:.1f} %" for name, value in mean.items()}
    at = f"{100 * FALSE_ALARMS:.0f} % false alarms"
    lines = (
        ("AUROC, taught against not taught", f"{mean['auroc']:.3f}", f"{mean['auroc_confidence']:.3f}"),
        (f"accuracy at {at}", share["accuracy_at"], share["accuracy_at_confidence"]),
        ("accuracy, nothing refused", share["accuracy"], share["accuracy"]),
        ("with the balanced threshold: accuracy", share["balanced_accuracy"], None),
        ("the same: false alarms", share["balanced_false_alarms"], None),
        (f"with a threshold asked for {at}: accuracy", share["asked_accuracy"], None),
        ("the same: false alarms", share["asked_false_alarms"], None),
    )
    columns = ("what", Column("familiarity", side="right"), Column("confidence", side="right"))
    return Table(f"{len(rows)} times an object left out, by familiarity and by confidence", columns, lines)


def _of_user(recognizer: Recognizer, index: Index, source: FrameSource, split: str, user: str) -> Iterator[Row]:
    sampling = Sampling.of_protocol(recognizer.extractor.frame_size_px)
    clean: list[tuple[TaughtVideo, Tensor]] = []
    clutter: dict[str, list[Tensor]] = {}
    for row in index.select(split=split, user=user):
        teaches = row.video_type == "clean"
        frames = sampling.frames(row.frames) if teaches else _showing(index, row)
        features = recognizer.embed(to_images(source.read(row.video, frames), 1)).cpu()
        if teaches:
            clean.append((TaughtVideo(row.object, row.frames, frames, row.video), features))
        else:
            clutter.setdefault(row.object, []).append(features)
    whole = SupportSet.of(clean)
    for left_out in whole.objects:
        yield _row(recognizer, whole.without([left_out]), clutter, left_out)


def _showing(index: Index, row: VideoRow) -> tuple[int, ...]:
    annotations = read_annotations(annotation_path(index.root, row.split, row.video))
    return tuple(select_frames(annotations, all_of("object_present"))[::EVERY])


def _row(recognizer: Recognizer, support: SupportSet, clutter: dict[str, list[Tensor]], left_out: str) -> Row:
    balanced = teach_features(recognizer, "", support, origin={})
    asked = teach_features(recognizer, "", support, origin={}, false_alarms=FALSE_ALARMS).threshold

    def seen(name: str) -> Seen:
        scores = balanced.scores_of_features(torch.cat(clutter[name]))
        likeliest = scores.probabilities.argmax(1)
        right = np.array([support.objects[label] == name for label in likeliest], np.bool_)
        return Seen(right, scores.familiarity, scores.probabilities.max(1))

    of_known = [seen(name) for name in support.objects]
    known = Seen(*(np.concatenate([getattr(s, field.name) for s in of_known]) for field in fields(Seen)))
    strange = seen(left_out)

    def passing(value: float | None) -> tuple[float, float]:
        least = -np.inf if value is None else value
        return float(np.mean(known.right & (known.familiarity >= least))), float(np.mean(strange.familiarity >= least))

    balanced_accuracy, balanced_false_alarms = passing(balanced.threshold.value)
    asked_accuracy, asked_false_alarms = passing(asked.value)
    return Row(
        accuracy=float(known.right.mean()),
        auroc=_auroc(known.familiarity, strange.familiarity),
        auroc_confidence=_auroc(known.confidence, strange.confidence),
        accuracy_at=_accuracy_at(known.right, known.familiarity, strange.familiarity),
        accuracy_at_confidence=_accuracy_at(known.right, known.confidence, strange.confidence),
        balanced_accuracy=balanced_accuracy,
        balanced_false_alarms=balanced_false_alarms,
        asked_accuracy=asked_accuracy,
        asked_false_alarms=asked_false_alarms,
    )


def _auroc(known: Numbers, strange: Numbers) -> float:
    taught = np.repeat([1, 0], [len(known), len(strange)])
    return float(roc_auc_score(taught, np.concatenate([known, strange])))


def _accuracy_at(right: NDArray[np.bool_], known: Numbers, strange: Numbers) -> float:
    return float(np.mean(right & (known > np.quantile(strange, 1 - FALSE_ALARMS))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Leave each object out once, and print how well 'none of these' is told. Exit status as the other commands'."""
    options = _parser().parse_args(arguments)
    return run_command("benchmarks", options, lambda: run_verb(options))


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m benchmarks.unknown", description=main.__doc__)
    parser.add_argument("--model", type=Reads(), required=True, help="a checkpoint")
    parser.add_argument(
        "--data", type=Reads(TREE_FILES), required=True, help="a tree with splits, clutter videos and annotations"
    )
    parser.add_argument("--split", default="validation", help="whose users (default: validation)")
    parser.add_argument("--out", type=Writes("unknown.csv"), help="CSV to write, a row a user and object left out")
    parser.set_defaults(run=lambda options: _run(options.model, options.data, options.split, options.out))
    return with_own_parser(parser)


def _run(model: Path, data: Path, split: str, out: Path | None) -> None:
    rows = study(load_recognizer(model), open_index(data), split=split)
    print(text_table(means_table(rows), width=terminal_width()))
    if out:
        names = [field.name for field in fields(Row)]
        write_text(out, csv_text(names, [[f"{getattr(row, name):.4f}" for name in names] for row in rows]))
        print(out)


if __name__ == "__main__":
    sys.exit(main())
