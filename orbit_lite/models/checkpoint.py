"""Recognisers on disk: safetensors whose header holds learner, backbone and config. Nothing in a file is ever run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import write_bytes
from orbit_lite.config import nearest
from orbit_lite.models.backbones import BACKBONES, CLASSIFIERS
from orbit_lite.models.recognizer import LEARNERS, Recognizer, build_recognizer
from orbit_lite.models.weight_files import WeightFile, load_checked, read_metadata, read_weights

FORMAT = 1
HEADER = "orbit_lite"  # one key for all: safetensors writes several in an order that changes from run to run
PUBLISHED_EXTRACTOR, OUR_EXTRACTOR = "feature_extractor.", "extractor.net."


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself. `config` is the run's, resolved; `meta` whatever the run added (epoch, ...)."""

    learner: str
    backbone: str
    frame_size_px: int
    config: dict[str, Any]
    meta: dict[str, Any]


def save_recognizer(
    path: Path, recognizer: Recognizer, *, config: dict[str, Any], meta: dict[str, Any] | None = None
) -> None:
    """Write a recogniser, whole or not at all; the same weights and header give the same bytes.

    Raises:
        AskedWrong: if it is no learner of LEARNERS: it could not be built again from the file.
        ValueError: if config or meta are not JSON (NaN and infinity are not).
    """
    if recognizer.learner not in LEARNERS:
        raise AskedWrong(f"{path}: a checkpoint holds one of {', '.join(LEARNERS)}, not learner {recognizer.learner!r}")
    header = {
        "format": FORMAT,
        "learner": recognizer.learner,
        "backbone": recognizer.extractor.backbone.name,
        "frame_size_px": recognizer.extractor.frame_size_px,
        "config": config,
        "meta": meta or {},
    }
    # contiguous: safetensors has no channels_last
    tensors = {name: value.detach().cpu().contiguous() for name, value in recognizer.state_dict().items()}
    text = json.dumps(header, allow_nan=False, sort_keys=True)
    write_bytes(path, safetensors.torch.save(tensors, {HEADER: text}))


def read_checkpoint_info(path: Path | str) -> CheckpointInfo:
    """What one of our checkpoints says of itself, its weights unread.

    Raises:
        AskedWrong: if there is no such file.
        FoundWrong: if it is not a checkpoint of ours, or of another format number.
    """
    return _info(read_metadata(Path(path)), Path(path))


def load_recognizer(
    path: Path | str,
    *,
    learner: str | None = None,
    backbone: str | None = None,
    device: torch.device | str = "cpu",
) -> Recognizer:
    """Load a recogniser: one of our checkpoints, or a published state dict.

    Args:
        path: ours (safetensors, the config is inside), or a published `.pth`, which needs the two names.
        learner, backbone: as in LEARNERS and BACKBONES. With one of ours they must be what the file says.
        device: where to put it.

    Raises:
        AskedWrong: no such file, an unknown name, or one that contradicts the file.
        FoundWrong: not a checkpoint, cut off, another format number, or keys that are missing, unknown, misshapen or
            not finite.
    """
    path = Path(path)
    file = read_weights(path)
    recognizer = (
        _ours(file, path, learner, backbone) if HEADER in file.metadata else _published(file, path, learner, backbone)
    )
    return recognizer.to(device)


def _ours(file: WeightFile, path: Path, learner: str | None, backbone: str | None) -> Recognizer:
    info = _info(file.metadata, path)
    for what, asked, found in (("learner", learner, info.learner), ("backbone", backbone, info.backbone)):
        if asked is not None and asked != found:
            raise AskedWrong(f"{path}: asked for {what} {asked}, but the checkpoint is of {what} {found}")
    recognizer = build_recognizer(info.learner, info.backbone, weights="random", frame_size_px=info.frame_size_px)
    load_checked(recognizer, file.tensors, where=f"{path} ({info.learner} on {info.backbone})")
    return recognizer


def _published(file: WeightFile, path: Path, learner: str | None, backbone: str | None) -> Recognizer:
    if learner is None or backbone is None:
        raise FoundWrong(
            f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header); "
            "if it is a published state dict, name its learner and backbone"
        )
    recognizer = build_recognizer(learner, backbone, weights="random")
    tensors = {
        OUR_EXTRACTOR + name.removeprefix(PUBLISHED_EXTRACTOR) if name.startswith(PUBLISHED_EXTRACTOR) else name: value
        for name, value in file.tensors.items()
    }
    classifiers = [OUR_EXTRACTOR + name for name in CLASSIFIERS]
    load_checked(recognizer, tensors, where=f"{path} as {learner} on {backbone}", ignored=classifiers)
    return recognizer


def _info(metadata: dict[str, str], path: Path) -> CheckpointInfo:
    if HEADER not in metadata:
        raise FoundWrong(f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header)")
    try:
        header = json.loads(metadata[HEADER])
        number = header["format"]
        if number != FORMAT:
            raise FoundWrong(f"{path}: checkpoint format {number}; this release reads format {FORMAT}")
        info = CheckpointInfo(
            learner=str(header["learner"]),
            backbone=str(header["backbone"]),
            frame_size_px=int(header["frame_size_px"]),
            config=dict(header["config"]),
            meta=dict(header["meta"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FoundWrong(f"{path}: the checkpoint's header is damaged ({type(error).__name__}: {error})") from None
    for what, name, known in (("learner", info.learner, LEARNERS), ("backbone", info.backbone, BACKBONES)):
        if name not in known:  # the file's fault, or a newer release's: not the caller's
            raise FoundWrong(f"{path}: of {what} {name!r}, not known here{nearest(name, known)}")
    return info
