"""Training a finished run further: what it would have been, had it been asked for more epochs at first."""

import logging
from pathlib import Path
from typing import Any

import torch

from groundwork.errors import DataError, UsageError
from groundwork.files import write_json
from groundwork.lock import only_run
from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info, save_recognizer
from orbit_lite.runs.folder import RECORD_NAME, read_record
from orbit_lite.runs.ranks import Ranks
from orbit_lite.training.experiment import ExperimentConfig, experiment_as_written_now
from orbit_lite.training.tasks import Steps

_LOG = logging.getLogger("orbit_lite")

LENGTHENED = "lengthened_by"  # a key of the run's record: how many epochs were added last


def lengthened(
    config: ExperimentConfig, state_path: Path, best_path: Path, more: int, *, an_epoch: int, ranks: Ranks
) -> ExperimentConfig:
    """The experiment with more epochs than the finished run has; its record then says so.

    A run that was cut off while it was trained further goes on, and gets no further epochs.

    Args:
        config: as the command gives it; its epochs do not count.
        state_path, best_path: in the run's folder.
        more: epochs to add.
        an_epoch: tasks in one.
        ranks: those of this process.

    Raises:
        UsageError: if there is no run, several processes are at it, it has nothing to train, or it is not finished.
        DataError: if a file of it is damaged.
    """
    if ranks.count > 1:
        raise UsageError("--more-epochs takes one process; begin it so, stop it, and resume it with torchrun")
    out = state_path.parent
    with only_run(out):
        record = read_record(out)
        settings = record.get("settings")
        settings = settings if isinstance(settings, dict) else {}
        found = experiment_as_written_now(settings.get("config"))
        if not isinstance(found, dict) or type(had := found.get("epochs")) is not int or had < 1:
            raise UsageError(f"{out}: no run of train with epochs; --more-epochs goes with one that is finished")
        asked = config.model_copy(update={"epochs": had})
        if found != asked.model_dump(mode="json"):
            return asked  # another run, which is said where it is taken up
        done, total = _step(state_path), Steps(an_epoch, config.tasks_per_step, had).total
        if done < total and record.get(LENGTHENED) == more:
            return asked
        if done < total:
            raise UsageError(
                f"{out}: step {done} of {total}, not finished; let the same command without --more-epochs finish it"
            )
        longer = config.model_copy(update={"epochs": had + more})
        written = longer.model_dump(mode="json")
        info = read_checkpoint_info(best_path)
        # as the longer run would have written it; the record last: until then the run is as it was
        save_recognizer(best_path, load_recognizer(best_path), config=written, meta=info.meta)
        write_json(out / RECORD_NAME, {**record, "settings": {**settings, "config": written}, LENGTHENED: more})
    _LOG.info("%s: from %d to %d epochs%s", out, had, had + more, _difference(config, had))
    return longer


def _difference(config: ExperimentConfig, had: int) -> str:
    """Why the result is not that of a run that was asked for all epochs at first; "" where it is."""
    reasons = []
    if config.optimizer.decay == "cosine":
        reasons.append(f"cosine decay fell to its end within the first {had}")
    if had % config.validation.every_epochs:
        reasons.append(f"epoch {had} was validated, being the last")
    why = " and ".join(reasons)
    return (
        f"; not exactly what a run of as many from the start gives: {why}" if why else ", exactly as if asked at first"
    )


def _step(path: Path) -> int:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {}
        return int(content.get("step", 0))
    except Exception as error:  # a damaged file makes torch.load raise errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: the run can't be trained further from this state ({reason})") from None
