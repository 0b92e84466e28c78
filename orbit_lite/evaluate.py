"""Tasks, predictions, scorecard and report of one model on one tree, in one run folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_prep.index import open_index
from eval.records import Scorecard, TaskSet, read_tasks, tasks_fingerprint, write_predictions, write_tasks
from eval.report import write_report
from eval.verbs import TASKS_FINGERPRINT, score_files
from groundwork.errors import AskedWrong
from orbit_lite.config import LearnerConfig, builtin_names, load_learner, load_protocol, nearest
from orbit_lite.data.frames import open_frames
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.checkpoint import load_recognizer
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.predict import predict
from orbit_lite.run_folder import RunFolder, file_sha256, versions


@dataclass(frozen=True)
class ModelChoice:
    """What `--model`, `--backbone` and `--weights` name: a checkpoint, or a learner (built in, or a YAML file) that is
    not meta-trained.

    `weights` is "pretrained", "random" or a file; "" where the model is a checkpoint.
    """

    model: str
    backbone: str = ""
    weights: str = ""
    seed: int = 1991

    def load(self) -> Recognizer:
        """Read or build it, on the CPU.

        Raises:
            AskedWrong: for an unknown learner or backbone, or a file that is not there.
            FoundWrong: if the file is no checkpoint.
        """
        learner = self._learner()
        if learner is not None:
            if not self.backbone:
                raise AskedWrong(f"--model {self.model} is a learner: give its --backbone (and --weights) too")
            weights = self.weights or ("random" if self.backbone == "tiny" else "pretrained")
            return build_recognizer(learner, self.backbone, weights=weights, seed=self.seed)
        path = Path(self.model)
        if not path.is_file():
            known = builtin_names("learner")
            raise AskedWrong(
                f"--model {self.model}: no such checkpoint, and no learner{nearest(self.model, known)}; "
                f"learners: {', '.join(known)}"
            )
        return load_recognizer(path)

    def describe(self) -> dict[str, Any]:
        """What identifies it: a checkpoint by its content, wherever it lies; a learner by its composition."""
        learner = self._learner()
        if learner is None:
            return {"checkpoint": Path(self.model).name, "sha256": file_sha256(Path(self.model))}
        composed = {"learner": learner.name, "composition": learner.model_dump(mode="json", exclude={"name"})}
        return composed | {"backbone": self.backbone, "weights": self.weights, "seed": self.seed}

    def _learner(self) -> LearnerConfig | None:
        named = self.model in builtin_names("learner") or Path(self.model).suffix in (".yaml", ".yml")
        return load_learner(self.model) if named else None


@dataclass(frozen=True)
class EvaluateRequest:
    """One evaluation: which model, on which tree, by which protocol."""

    model: ModelChoice
    data: Path
    protocol: str
    split: str
    seed: int
    tasks_per_user: int | None = None


def evaluate(request: EvaluateRequest, out: Path, *, workers: int, device: torch.device) -> Scorecard:
    """Run every station that is not done yet, and leave tasks.jsonl, predictions.parquet, scorecard.json, report.html.

    Raises:
        AskedWrong: if `out` holds another run, or the request names something unknown.
        FoundWrong: if the data or the checkpoint is not what it should be.
    """
    recognizer = request.model.load().to(device)
    index = open_index(request.data)
    drawer = TaskDrawer(index, load_protocol(request.protocol), split=request.split, seed=request.seed)
    settings = {
        "command": "evaluate",
        "model": request.model.describe(),
        "protocol": drawer.plan.model_dump(mode="json"),
        "split": drawer.split,
        "seed": request.seed,
        "tasks_per_user": request.tasks_per_user or drawer.plan.tasks_per_user,
        "data_fingerprint": index.fingerprint,
    }
    machine = {"device": str(device), "threads": torch.get_num_threads(), "workers": workers}
    run = RunFolder(out, settings, machine=machine)
    tasks, predictions = out / "tasks.jsonl", out / "predictions.parquet"
    if not tasks.exists():
        write_tasks(tasks, drawer.draw_all(tasks_per_user=request.tasks_per_user))
        run.say(f"tasks drawn: {tasks}")
    if not predictions.exists():
        task_set = read_tasks(tasks)
        source = open_frames(index, size_px=recognizer.extractor.frame_size_px)
        table = predict(recognizer, task_set, index, source, workers=workers)
        write_predictions(predictions, table, metadata=provenance(request.model, task_set))
        run.say(f"predictions: {predictions}")
    card = score_files(tasks, predictions, out / "scorecard.json")
    write_report(card, out)
    run.say(f"report: {out / 'report.html'}")
    return card


def provenance(model: ModelChoice, tasks: TaskSet) -> dict[str, str]:
    """Where predictions come from, for the parquet file's own metadata: texts by name."""
    described = {key: str(value) for key, value in model.describe().items()}
    return described | versions() | {TASKS_FINGERPRINT: tasks_fingerprint(tasks)}
