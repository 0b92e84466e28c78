"""Runs every step on the pocket set: raw videos, frames, tasks, meta-training, evaluation before and after, reports.

Then it teaches a personal recognizer for one test user, from the model that is installed with the kit.
"""

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
from groundwork.words import counted
from orbit_lite.data.loader import reading_workers
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.personal.checking.check_user import check_user
from orbit_lite.personal.checking.report import write_check
from orbit_lite.personal.evaluating.evaluate import PersonalRequest, evaluate_personal
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.promises import share
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.personal.teaching.summary import promise_lines
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train

_LOG = logging.getLogger("orbit_lite")

EXPERIMENT = "pocket"
USERS = (24, 3, 4)  # for training, validation and test
AFTER = "69 to 76 %"  # frame accuracy with the instruction sets of two processors, see README

MADE = {
    "raw": "raw videos, like those from a phone",
    "frames": "frame tree and index.csv",
    "train/best.safetensors": "the trained recognizer",
    "train/training.csv": "training curve",
    "before/report.html": "report before meta-training",
    "after/report.html": "report after meta-training",
    "after/tasks.jsonl": "tasks; predictions.parquet and scorecard.json are beside them",
    "personal/recognizer.safetensors": "one test user's personal recognizer, from the embedded start",
    "personal/check/check.html": "how well that user's videos teach",
    "personal/tried/report.html": "the recognizer on that user's cluttered videos",
}


@dataclass(frozen=True)
class Demo:
    """The demo's results.

    out: the folder with all results. before, after: scores on test users before and after meta-training. personal: one
    user's personal recognizer. tried: its scores on that user's cluttered videos. seconds: duration of the demo.
    """

    out: Path
    before: Scorecard
    after: Scorecard
    personal: PersonalRecognizer
    tried: Scorecard
    seconds: float

    def __str__(self) -> str:
        """The scores, and where all results are."""
        return "\n".join(
            [
                f"\nTest users, {self.before.protocol}, before and after meta-training:\n",
                compare_table(self.before, self.after),
                "These numbers depend on the processor: the order of its sums changes the rounding, and training "
                "amplifies this.",
                f"With the demo's default settings, frame accuracy after meta-training was {AFTER} on two "
                "processors.\n",
                *self._personal_lines(),
                *(f"{self.out / name}: {what}" for name, what in MADE.items()),
                f"done in {duration(self.seconds)}",
            ]
        )

    def _personal_lines(self) -> list[str]:
        answers = self.tried.overall.answers
        if answers is None:
            raise ValueError("a run of a personal file has answers")
        videos = counted(self.tried.counts.videos, "cluttered video")
        return [
            f"A personal recognizer of {self.personal.user}'s {len(self.personal.objects)} things. Its network was "
            "trained on photos of other things (ImageNet), and was not meta-trained:",
            *promise_lines(self.personal),
            f"On {videos} that it had not seen, {share(answers.right)} of the frames were right, "
            f"{share(answers.wrong)} wrong and {share(answers.none)} none of these ({share(answers.unsure)} with a "
            "'maybe').",
            "The things in these videos are drawn, and do not look like photos. For results on photos, see "
            "docs/real-photos.md.\n",
        ]


def run_demo(out: Path, *, seed: int = 0, users: tuple[int, int, int] = USERS, settings: Sequence[str] = ()) -> Demo:
    """Run every step that is not done yet.

    Args:
        out: folder for all results: raw/, frames/, train/, before/, after/, personal/.
        seed: seed of the pocket set and of training.
        users: numbers of users for training, validation and test in the pocket set.
        settings: settings of the experiment, such as "epochs=2".
    """
    started_s = time.monotonic()
    workers, device = reading_workers(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = load_experiment(EXPERIMENT, [f"seed={seed}", *settings])

    _step(1, "drawing and encoding the pocket set's raw videos")
    _LOG.info("%s", make_pocket(out / "raw", users=users, seed=seed))
    _step(2, "extracting frames")
    frames = extract(out / "raw", out / "frames")
    _LOG.info("%s: %d videos, %d frames", out / "frames", frames.videos, frames.frames)
    untrained = ModelChoice(config.learner.name, config.backbone, config.weights, seed=seed)
    request = EvaluateRequest(untrained, out / "frames", config.validation.protocol, "test", seed)
    _step(3, "evaluating on test users before meta-training")
    before = evaluate(request, out / "before", workers=workers, device=device)
    _step(4, "meta-training with LITE on training users; validation users select the best weights")
    summary = train(config, data=out / "frames", out=out / "train", workers=workers, device=device)
    _step(5, "evaluating on test users after meta-training")
    trained = replace(request, model=ModelChoice(str(summary.best)))
    after = evaluate(trained, out / "after", workers=workers, device=device)
    _step(6, "teaching, checking and testing a personal recognizer for one test user")
    personal, tried = _one_user(out, workers=workers, device=device)
    return Demo(out, before, after, personal, tried, time.monotonic() - started_s)


def _one_user(out: Path, *, workers: int, device: torch.device) -> tuple[PersonalRecognizer, Scorecard]:
    """The first test user's personal recognizer, and its scores on their cluttered videos."""
    user = min((out / "frames" / "test").iterdir())
    file = out / "personal" / "recognizer.safetensors"
    if not file.is_file():
        personalize(EMBEDDED_START, [user], file, device=device)
    write_check(check_user(file, None, device=device), out / "personal" / "check")
    request = PersonalRequest(file, out / "frames", "own-videos", "test")
    return load_personal(file), evaluate_personal(request, out / "personal" / "tried", workers=workers, device=device)


def _step(number: int, what: str) -> None:
    _LOG.info("Step %d of 6: %s", number, what)
