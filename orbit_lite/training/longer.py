"""Trains a finished run further, as if more epochs had been requested from the start."""

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
from orbit_lite.training.experiment import ExperimentConfig, experiment_with_new_keys
from orbit_lite.training.tasks import Steps

_LOG = logging.getLogger("orbit_lite")

LENGTHENED = "lengthened_by"  # a key of the run's record: the number of epochs added last


def lengthened(
    config: ExperimentConfig, state_path: Path, best_path: Path, more: int, *, per_epoch: int, ranks: Ranks
) -> ExperimentConfig:
    """The experiment with more epochs than the finished run; the run's record is updated.

    A run that was interrupted while it was trained further resumes, without additional epochs.

    Args:
        config: the command's config; its epochs are ignored.
        state_path, best_path: files in the run's folder.
        more: the number of epochs to add.
        per_epoch: the number of tasks in an epoch.
        ranks: the ranks of this run.

    Raises:
        UsageError: if there is no run, there are several ranks, it has nothing to train, or it is not finished.
        DataError: if one of its files is damaged.
    """
    if ranks.count > 1:
        raise UsageError(
            "--more-epochs must start in one process; start it without torchrun, stop it, and resume it with torchrun"
        )
    out = state_path.parent
    with only_run(out):
        record = read_record(out)
        settings = record.get("settings")
        settings = settings if isinstance(settings, dict) else {}
        found = experiment_with_new_keys(settings.get("config"))
        if not isinstance(found, dict) or type(had := found.get("epochs")) is not int or had < 1:
            raise UsageError(f"{out}: no finished training run with epochs, which --more-epochs needs")
        asked = config.model_copy(update={"epochs": had})
        if found != asked.model_dump(mode="json"):
            return asked  # another run; resuming it reports that
        done, total = _step(state_path), Steps(per_epoch, config.tasks_per_step, had).total
        if done < total and record.get(LENGTHENED) == more:
            return asked
        if done < total:
            raise UsageError(
                f"{out}: the run is not finished (step {done} of {total}); finish it with the same command "
                "without --more-epochs"
            )
        longer = config.model_copy(update={"epochs": had + more})
        written = longer.model_dump(mode="json")
        info = read_checkpoint_info(best_path)
        # as the longer run would have written it; the record comes last, and until then the run is unchanged
        save_recognizer(best_path, load_recognizer(best_path), config=written, meta=info.meta)
        write_json(out / RECORD_NAME, {**record, "settings": {**settings, "config": written}, LENGTHENED: more})
    _LOG.info("%s: from %d to %d epochs%s", out, had, had + more, _difference(config, had))
    return longer


def _difference(config: ExperimentConfig, had: int) -> str:
    """Why the result differs from that of a run with all epochs from the start; "" if it does not."""
    reasons = []
    if config.optimizer.decay == "cosine":
        reasons.append(f"cosine decay ended within the first {had} epochs")
    if had % config.validation.every_epochs:
        reasons.append(f"epoch {had} was validated because it was the last")
    why = " and ".join(reasons)
    return (
        f"; the result differs from that of a run with this many epochs from the start: {why}"
        if why
        else ", with the same result as if requested from the start"
    )


def _step(path: Path) -> int:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {}
        return int(content.get("step", 0))
    except Exception as error:  # torch.load raises many types of errors for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: the run can't be trained further from this file ({reason})") from None
