"""The whole road on the pocket set: raw videos, frames, tasks, meta-training, evaluation before and after, reports."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_prep.making.extract import extract
from data_prep.pocket.pocket_set import make_pocket
from eval.formats.scorecard import Scorecard
from eval.report import compare_table
from groundwork.progress import duration
from orbit_lite.data.loader import reading_workers
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.models.choice import ModelChoice
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train

_LOG = logging.getLogger("orbit_lite")

EXPERIMENT = "pocket"
USERS = (24, 3, 4)  # of train, validation and test
AFTER = "71 to 79 %"  # frame accuracy on four machines, see README

MADE = {
    "raw": "raw videos, as a phone would give them",
    "frames": "frame tree and index.csv",
    "train/best.safetensors": "the trained recognizer",
    "train/training.csv": "training curve",
    "before/report.html": "report before meta-training",
    "after/report.html": "report after meta-training",
    "after/tasks.jsonl": "tasks, with predictions.parquet and scorecard.json beside them",
}


@dataclass(frozen=True)
class Demo:
    """What the demo found on test users, before and after meta-training, and the folder that holds all of it."""

    out: Path
    before: Scorecard
    after: Scorecard
    seconds: float

    def __str__(self) -> str:
        """The metrics, and where everything is."""
        return "\n".join(
            [
                f"\nTest users, {self.before.protocol}, before and after meta-training:\n",
                compare_table(self.before, self.after),
                "These numbers depend on the processor: it rounds sums in its own order, and training amplifies that.",
                f"With the demo's own settings, frame accuracy after meta-training was {AFTER} on four machines.\n",
                *(f"{self.out / name}: {what}" for name, what in MADE.items()),
                f"done in {duration(self.seconds)}",
            ]
        )


def run_demo(out: Path, *, seed: int = 0, users: tuple[int, int, int] = USERS, settings: Sequence[str] = ()) -> Demo:
    """Run every station that is not done yet.

    Args:
        out: folder for all of it: raw/, frames/, train/, before/, after/.
        seed: of the pocket set and of training.
        users: how many users of train, validation and test the pocket set has.
        settings: of the experiment, such as "epochs=2".
    """
    started_s = time.monotonic()
    workers, device = reading_workers(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = load_experiment(EXPERIMENT, [f"seed={seed}", *settings])

    _station(1, "drawing and encoding the pocket set's raw videos")
    _LOG.info("%s", make_pocket(out / "raw", users=users, seed=seed))
    _station(2, "extracting frames")
    frames = extract(out / "raw", out / "frames")
    _LOG.info("%s: %d videos, %d frames", out / "frames", frames.videos, frames.frames)
    untrained = ModelChoice(config.learner.name, config.backbone, config.weights, seed=seed)
    request = EvaluateRequest(untrained, out / "frames", config.validation.protocol, "test", seed)
    _station(3, "evaluating on test users before meta-training")
    before = evaluate(request, out / "before", workers=workers, device=device)
    _station(4, "meta-training with LITE on train users; the best weights are chosen on validation users")
    summary = train(config, data=out / "frames", out=out / "train", workers=workers, device=device)
    _station(5, "evaluating on test users after meta-training")
    trained = replace(request, model=ModelChoice(str(summary.best)))
    after = evaluate(trained, out / "after", workers=workers, device=device)
    return Demo(out, before, after, time.monotonic() - started_s)


def _station(number: int, what: str) -> None:
    _LOG.info("\nStation %d of 5: %s", number, what)
