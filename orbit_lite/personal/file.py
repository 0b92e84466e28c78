"""The file of a personal recognizer: hashed safetensors that hold everything and contain no code."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from groundwork.errors import DataError, UsageError
from groundwork.strict_json import parse_json
from groundwork.strict_model import Strict, first_fault
from orbit_lite.models.checkpoint import PERSONAL_HEADER as HEADER
from orbit_lite.models.hashed_file import HEADER as HEADER_JSON
from orbit_lite.models.hashed_file import HashedFormat
from orbit_lite.models.heads import HEADS
from orbit_lite.models.heads.fitting import FittedHead
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer, build_recognizer
from orbit_lite.models.weight_files import WeightFile, load_checked, read_metadata, read_weights
from orbit_lite.personal.calibrating.calibrate import calibrate
from orbit_lite.personal.decision.calibration import UNCALIBRATED, Calibration
from orbit_lite.personal.recognizer import PersonalRecognizer, SupportSet, TaughtVideo

FORMAT = 3
# Format 1 lacks the fitted head's settings. Formats 1 and 2 have a threshold that was set on videos of the same place;
# it is ignored, and the recognizer is calibrated again from the features in the file.
OLD_FORMATS = (1, 2)
OLD_HEADS: dict[str, dict[str, Any]] = {"cosine": {"scale": 32.0}}  # constants at that time; other heads had none
_LOG = logging.getLogger("orbit_lite")
PERSONAL = HashedFormat(key=HEADER, remedy="restore a copy of it, or personalize again")
_LONGEST_HEADER = 100_000_000  # bytes, the limit of safetensors
_TYPES = (torch.float32, torch.float16, torch.bfloat16)  # computation uses the first
WEIGHTS, STATE, HEAD, FEATURES = (
    "recognizer.",
    "film.",
    "head.",
    "features",
)  # named after FiLM, the first kind of state


class _Header(Strict):
    """The header beside the tensors. head: plain settings of the fitted head, by field."""

    format: int
    learner: LearnerConfig
    head: dict[str, Any] = Field(default_factory=dict)
    backbone: str
    frame_size_px: int = Field(ge=1)
    user: str
    videos: tuple[TaughtVideo, ...] = Field(min_length=1)
    calibration: Calibration = UNCALIBRATED
    threshold: dict[str, Any] | None = None  # only in formats 1 and 2
    origin: dict[str, Any]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        objects = [video.object for video in self.videos]
        if objects != sorted(objects) or not all(video.frames for video in self.videos):
            raise ValueError("videos are not sorted by object, or one has no frames")
        return self


def save_personal(path: Path, personal: PersonalRecognizer) -> None:
    """Write a personal recognizer, completely or not at all: an older file stays until the new one is complete.

    Raises:
        ValueError: if its recognizer was composed without a learner's config, or its head does not match its record.
    """
    fitted = personal.fitted
    learner = fitted.recognizer.learner
    if learner is None:
        raise ValueError("a recognizer without a learner's config could not be rebuilt from its file")
    record, width = fitted.recognizer.head_record, fitted.recognizer.extractor.width
    head_tensors, head_values = record.take_apart(fitted.head, way=fitted.way, width=width)
    tensors = {
        **_with_prefix(WEIGHTS, fitted.recognizer.state_dict()),
        **_with_prefix(STATE, fitted.state or {}),
        **_with_prefix(HEAD, head_tensors),
        FEATURES: personal.support.features,
    }
    header = _Header(
        format=FORMAT,
        learner=learner,
        head=head_values,
        backbone=fitted.recognizer.extractor.backbone.name,
        frame_size_px=personal.frame_size_px,
        user=personal.user,
        videos=personal.support.videos,
        calibration=personal.calibration,
        origin=dict(personal.origin),
    ).model_dump_json(exclude={"threshold"})
    PERSONAL.write(path, header, tensors)


def is_personal(path: Path) -> bool:
    """Whether a file's metadata says that it is a personal recognizer; False if it is missing or can't be read."""
    try:
        return path.is_file() and HEADER in read_metadata(path)
    except DataError:
        return False


def require_personal(path: Path) -> None:
    """Refuse a file whose metadata does not say that it is a personal recognizer; the rest is not read.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is something else.
    """
    if HEADER not in read_metadata(_existing(path)):
        raise _not_personal(path)


def read_user(path: Path) -> str | None:
    """The user of a personal recognizer, from its header alone, so that a truncated or altered file still works; None
    if the header has no user."""
    with path.open("rb") as file:  # safetensors: eight bytes of length, then JSON
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _LONGEST_HEADER else b""
    try:
        user = parse_json(parse_json(parse_json(text)["__metadata__"][HEADER])[HEADER_JSON])["user"]
    except (ValueError, KeyError, TypeError):
        return None
    return user if isinstance(user, str) else None


def load_personal(path: Path | str, *, device: torch.device | str = "cpu") -> PersonalRecognizer:
    """Read a personal recognizer.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is not a personal recognizer, is truncated or altered, or has an unknown format number.
    """
    path = _existing(Path(path))
    file = read_weights(path)
    header = _read_header(file, path)
    try:
        recognizer = build_recognizer(
            header.learner, header.backbone, weights="random", frame_size_px=header.frame_size_px
        )
    except UsageError as error:  # the file is faulty or of a newer release; the caller is not to blame
        raise DataError(f"{path}: {error}") from None
    load_checked(recognizer, _without_prefix(WEIGHTS, file.tensors), where=str(path))
    recognizer.to(device)
    head, state, support = _fitted_parts(file.tensors, header, recognizer, path)
    calibration = header.calibration
    if header.format in OLD_FORMATS:
        _LOG.info(
            "%s: made by an earlier release, whose thresholds were too high for a new place; calibrated again", path
        )
        calibration = calibrate(recognizer, support, origin=header.origin)
    return PersonalRecognizer(
        fitted=FittedRecognizer(recognizer, head, support.way, state),
        user=header.user,
        support=support,
        calibration=calibration,
        origin=header.origin,
    )


def _fitted_parts(
    tensors: Mapping[str, Tensor], header: _Header, recognizer: Recognizer, path: Path
) -> tuple[FittedHead, dict[str, Tensor] | None, SupportSet]:
    """The head, the extractor's state and the support set; checks that each tensor has the expected shape and type."""
    way, width = len({video.object for video in header.videos}), recognizer.extractor.width
    record = recognizer.head_record
    try:
        values = record.check_values(OLD_HEADS.get(record.name, {}) if header.format == 1 else header.head)
        head_shapes = record.shapes(way, width, values)
    except (ValueError, TypeError, KeyError) as error:
        raise PERSONAL.damaged(path, f"head {record.name}: {error}") from None
    state_shapes = recognizer.adapter.state_shapes(recognizer.extractor)
    expected = {
        **{HEAD + name: shape for name, shape in head_shapes.items()},
        **{STATE + name: shape for name, shape in state_shapes.items()},
        FEATURES: (sum(len(video.frames) for video in header.videos), width),
    }
    given = {name: value for name, value in tensors.items() if not name.startswith(WEIGHTS)}
    for name in sorted(expected.keys() | given.keys()):
        shape = tuple(given[name].shape) if name in given else "missing"
        if shape != expected.get(name, "absent"):
            raise PERSONAL.damaged(path, f"{name}: {shape}, expected {expected.get(name, 'no such tensor')}")
        any_type = (
            name.startswith(HEAD) and record.name not in HEADS
        )  # a head of an installed package may hold integers
        if given[name].dtype not in _TYPES and not any_type:
            raise PERSONAL.damaged(path, f"{name}: values of type {given[name].dtype}, expected {_TYPES[0]}")
        if not torch.isfinite(given[name]).all():
            raise PERSONAL.damaged(path, f"{name}: NaN or infinite values")
    device = recognizer.device
    of_head = {name: given[HEAD + name].to(device) for name in head_shapes}
    of_head = {name: value.float() if value.dtype in _TYPES else value for name, value in of_head.items()}
    head = record.fitted(**of_head, **values)
    state = {name: given[STATE + name].to(device).float() for name in state_shapes}
    return head, state or None, SupportSet(header.videos, given[FEATURES].float())


def _read_header(file: WeightFile, path: Path) -> _Header:
    if HEADER not in file.metadata:
        raise _not_personal(path)
    text = PERSONAL.checked(file, path)
    try:
        number = parse_json(text)["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise PERSONAL.damaged(path, f"its header can't be read: {type(error).__name__}") from None
    if number not in (*OLD_FORMATS, FORMAT):
        raise DataError(f"{path}: is a personal file of format {number}; this release reads formats 1 to {FORMAT}")
    try:
        return _Header.model_validate_json(text)
    except ValidationError as error:
        raise PERSONAL.damaged(path, first_fault(error, _Header)) from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a personal recognizer, from 'orbit-lite personalize'")
    return path


def _not_personal(path: Path) -> DataError:
    return DataError(f"{path}: not a personal recognizer; make one with 'orbit-lite personalize'")


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


def _without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
