"""Recognizers on disk: safetensors files whose header holds learner, backbone and config, with a hash over everything.

No code from a file is ever run.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from groundwork.errors import DataError, UsageError
from groundwork.strict_json import parse_json
from groundwork.words import quoted
from orbit_lite.config import parse_config
from orbit_lite.models.adapters import find_adapter
from orbit_lite.models.backbones import find_backbone
from orbit_lite.models.backbones.record import FRAME_SIZE_PX
from orbit_lite.models.hashed_file import HashedFormat
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.weight_files import WeightFile, load_checked, read_metadata, read_weights

_LOG = logging.getLogger("orbit_lite")

FORMAT = 3
UNHASHED_FORMAT = 2  # before checkpoints had a hash: the key holds only the header's fields
HEADER = "orbit_lite"
CHECKPOINT = HashedFormat(key=HEADER, remedy="restore a copy of it, or train or convert again")
PERSONAL_HEADER = "orbit_lite_personal"  # marks a file with one user's recognizer, which is not a checkpoint
PUBLISHED_EXTRACTOR = "feature_extractor."


@dataclass(frozen=True)
class CheckpointInfo:
    """The header of a checkpoint. `config` is the run's resolved config; `meta` is what the run added (epoch, ...).

    `hashed` is False for files from before checkpoints had a hash, which can't be verified.
    """

    learner: LearnerConfig
    backbone: str
    frame_size_px: int
    config: dict[str, Any]
    meta: dict[str, Any]
    hashed: bool = True

    @property
    def validation_frame_accuracy(self) -> float | None:
        """The score that selected these weights: the mean over videos of the validation users, in [0, 1].

        None if there is none: in a converted file, or for a learner with nothing to meta-train.
        """
        return self._number("validation_frame_accuracy")

    @property
    def validation_chance(self) -> float | None:
        """The score of guessing on the validation users, in [0, 1]; None without a score, or in older files."""
        return self._number("validation_chance")

    def _number(self, name: str) -> float | None:
        found = self.meta.get(name)
        return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def save_recognizer(
    path: Path, recognizer: Recognizer, *, config: dict[str, Any], meta: dict[str, Any] | None = None
) -> None:
    """Write a recognizer atomically; the same weights and header give the same bytes.

    Raises:
        ValueError: if it was composed without a learner's config, so that it could not be rebuilt from the file; or if
            config or meta are not JSON (NaN and infinity are not).
    """
    if recognizer.learner is None:
        raise ValueError(
            "a recognizer without a learner's config can't be saved, because it could not be rebuilt from the file"
        )
    header = {
        "format": FORMAT,
        "learner": recognizer.learner.model_dump(mode="json"),
        "backbone": recognizer.extractor.backbone.name,
        "frame_size_px": recognizer.extractor.frame_size_px,
        "config": config,
        "meta": meta or {},
    }
    CHECKPOINT.write(path, json.dumps(header, allow_nan=False, sort_keys=True), recognizer.state_dict())


def read_checkpoint_info(path: Path | str) -> CheckpointInfo:
    """Read the header of one of our checkpoints and check it against its hash; the weights are not read.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is not one of our checkpoints, its header was altered, or it has another format number.
    """
    return _info(read_metadata(Path(path)), Path(path))


def load_recognizer(
    path: Path | str,
    *,
    learner: str | None = None,
    backbone: str | None = None,
    frame_size_px: int | None = None,
    device: torch.device | str = "cpu",
) -> Recognizer:
    """Load a recognizer from one of our checkpoints or from a published state dict.

    Our checkpoints are checked against their hash; one from before there were hashes is loaded with a note on stderr.

    Args:
        path: our checkpoint (safetensors with the config inside), or a published `.pth`, which needs learner and
            backbone.
        learner, backbone: names; for our checkpoints they must match the file. A published state dict is loaded with
            the published arithmetic: its learner's `published_quirks` are set.
        frame_size_px: the side of the frames; our checkpoints contain it, and for a published state dict the default is
            224.
        device: the device to load to.

    Raises:
        UsageError: for a missing file, an unknown name, or a name or size that contradicts the file.
        DataError: if the file is not a checkpoint, is truncated or altered, has another format number, or has keys that
            are missing, unknown, of a wrong shape, or not finite.
    """
    path = Path(path)
    file = read_weights(path)
    if PERSONAL_HEADER in file.metadata:
        raise DataError(f"{path}: this file holds one user's personal recognizer; expected a checkpoint")
    read = _ours if HEADER in file.metadata else _published
    return read(file, path, learner, backbone, frame_size_px).to(device)


def build_from(
    learner: LearnerConfig, backbone: str, *, weights: str | Path, seed: int = 0, frame_size_px: int = FRAME_SIZE_PX
) -> Recognizer:
    """Compose a learner on a backbone, as `build_recognizer` does; `weights` may also be one of our checkpoints.

    From a checkpoint of the same learner all weights are used, from another learner's only those of the extractor.

    Raises:
        UsageError: as for `build_recognizer`, or if the checkpoint has another backbone or frame size.
        DataError: as for `build_recognizer` and `load_recognizer`.
    """
    path = Path(weights)
    if not path.is_file() or HEADER not in read_metadata(path):
        return build_recognizer(learner, backbone, weights=weights, seed=seed, frame_size_px=frame_size_px)
    start = load_recognizer(path, backbone=backbone, frame_size_px=frame_size_px)
    recognizer = build_recognizer(learner, backbone, weights="random", seed=seed, frame_size_px=frame_size_px)
    if start.learner is not None and start.learner.model_copy(update={"name": learner.name}) == learner:
        recognizer.load_state_dict(start.state_dict())
    else:
        recognizer.extractor.load_state_dict(start.extractor.state_dict())
        _LOG.info("note: %s: the checkpoint is of another learner, so only its extractor's weights are used", path)
    return recognizer


def _ours(
    file: WeightFile, path: Path, learner: str | None, backbone: str | None, frame_size_px: int | None
) -> Recognizer:
    info = _info(file.metadata, path)
    if info.hashed:
        CHECKPOINT.checked(file, path)
    else:
        _note_unhashed(path)
    if backbone is not None and backbone != info.backbone:  # a timm name may omit the tag
        backbone = find_backbone(backbone, frame_size_px=info.frame_size_px).name
    for what, asked, found in (
        ("learner", learner, info.learner.name),
        ("backbone", backbone, info.backbone),
        ("frame size", frame_size_px, info.frame_size_px),
    ):
        if asked is not None and asked != found:
            raise UsageError(f"{path}: expected {what} {asked}, but the checkpoint has {what} {found}")
    try:
        recognizer = build_recognizer(info.learner, info.backbone, weights="random", frame_size_px=info.frame_size_px)
    except UsageError as error:  # an error in the file, or a newer release, not the caller's mistake
        raise DataError(f"{path}: {error}") from None
    load_checked(recognizer, file.tensors, where=f"{path} ({info.learner.name} on {info.backbone})")
    return recognizer


def _published(
    file: WeightFile, path: Path, learner: str | None, backbone: str | None, frame_size_px: int | None
) -> Recognizer:
    if learner is None or backbone is None:
        raise DataError(
            f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header); "
            "for a published state dict, give its learner and backbone (or run 'orbit-lite convert' first)"
        )
    config = load_learner(learner).model_copy(update={"published_quirks": True})
    recognizer = build_recognizer(config, backbone, weights="random", frame_size_px=frame_size_px or FRAME_SIZE_PX)
    classifiers = recognizer.extractor.backbone.classifiers
    load_checked(
        recognizer,
        file.tensors,
        where=f"{path} as {config.name} on {backbone}",
        ignored=[PUBLISHED_EXTRACTOR + name for name in classifiers],
        called=partial(_published_name, config),
    )
    return recognizer


def _published_name(learner: LearnerConfig, ours: str) -> str:
    """A parameter's name in the published code; our name if the published code has no such part."""
    of_adapter = find_adapter(learner.adapter).published
    beginnings = {"extractor.net.": PUBLISHED_EXTRACTOR, "head.": "classifier."}
    beginnings |= {f"adapter.{beginning}": theirs for beginning, theirs in of_adapter.items()}
    found = next((beginning for beginning in beginnings if ours.startswith(beginning)), "")
    return beginnings.get(found, "") + ours.removeprefix(found)


@cache  # once per process and file
def _note_unhashed(path: Path) -> None:
    _LOG.warning(
        "note: %s: this checkpoint has no hash, so it can't be checked for damage. "
        "'orbit-lite convert %s --out NEW.safetensors' writes one with a hash",
        path,
        path,
    )


def _info(metadata: Mapping[str, str], path: Path) -> CheckpointInfo:
    if HEADER not in metadata:
        raise DataError(f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header)")
    header, hashed = _header(metadata, path)
    try:
        number = header["format"]
        if number != (FORMAT if hashed else UNHASHED_FORMAT):
            raise DataError(f"{path}: checkpoint format {number}; this release reads format {FORMAT}")
        info = CheckpointInfo(
            learner=parse_config(dict(header["learner"]), LearnerConfig, where=f"{path}, learner"),
            backbone=str(header["backbone"]),
            frame_size_px=_whole_number(header["frame_size_px"]),
            config=dict(header["config"]),
            meta=dict(header["meta"]),
            hashed=hashed,
        )
    except UsageError as error:  # an error in the file, or a newer release, not the caller's mistake
        raise DataError(f"{error}; this release does not know the checkpoint's learner") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: the checkpoint's header is damaged ({type(error).__name__}: {error})") from None
    try:
        find_backbone(info.backbone, frame_size_px=info.frame_size_px)
    except UsageError as error:
        raise DataError(f"{path}: {error}") from None
    return info


def _whole_number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"expected a whole number, got {quoted(value)}")
    return value


def _header(metadata: Mapping[str, str], path: Path) -> tuple[dict[str, Any], bool]:
    """The header's fields, and whether they have a hash (against which they were checked)."""
    try:
        found = parse_json(metadata[HEADER], finite=True)
        hashed = not (isinstance(found, dict) and "format" in found)
        if hashed:
            found = parse_json(CHECKPOINT.header(metadata, path), finite=True)
    except ValueError as error:
        raise CHECKPOINT.damaged(path, f"its header can't be read: {error}") from None
    if not isinstance(found, dict):
        raise CHECKPOINT.damaged(path, "its header can't be read: expected fields by name")
    return found, hashed
