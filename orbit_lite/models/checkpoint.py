"""Recognisers on disk: safetensors whose header holds learner, backbone and config. Nothing in a file is ever run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import write_bytes
from orbit_lite.config import LearnerConfig, load_learner, nearest, parse_config
from orbit_lite.models.backbones import BACKBONES, CLASSIFIERS, FRAME_SIZE_PX
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.weight_files import WeightFile, load_checked, read_metadata, read_weights

FORMAT = 2
HEADER = "orbit_lite"  # one key for all: safetensors writes several in an order that changes from run to run
PERSONAL_HEADER = "orbit_lite_personal"  # of a file that holds one user's recogniser: no checkpoint
PUBLISHED_EXTRACTOR = "feature_extractor."
PUBLISHED_NAMES = {  # beginnings of our names, and of the published code's
    "extractor.net.": PUBLISHED_EXTRACTOR,
    "adapter.set_encoder.": "set_encoder.",
    "adapter.generator.": "film_generator.",
    "head.": "classifier.",
}


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself. `config` is the run's, resolved; `meta` whatever the run added (epoch, ...)."""

    learner: LearnerConfig
    backbone: str
    frame_size_px: int
    config: dict[str, Any]
    meta: dict[str, Any]


def save_recognizer(
    path: Path, recognizer: Recognizer, *, config: dict[str, Any], meta: dict[str, Any] | None = None
) -> None:
    """Write a recogniser, whole or not at all; the same weights and header give the same bytes.

    Raises:
        ValueError: if it was composed without a learner's config: it could not be built again from the file.
            Or if config or meta are not JSON (NaN and infinity are not).
    """
    if recognizer.learner is None:
        raise ValueError("a recogniser without a learner's config could not be built again from its checkpoint")
    header = {
        "format": FORMAT,
        "learner": recognizer.learner.model_dump(mode="json"),
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
    frame_size_px: int | None = None,
    device: torch.device | str = "cpu",
) -> Recognizer:
    """Load a recogniser: one of our checkpoints, or a published state dict.

    Args:
        path: ours (safetensors, the config is inside), or a published `.pth`, which needs the two names.
        learner, backbone: names. With one of ours they must be what the file says. A published state dict gives the
            published arithmetic: its learner's `published_quirks` are set.
        frame_size_px: side of the frames; ours says it, of a published state dict it is 224 if not given.
        device: where to put it.

    Raises:
        AskedWrong: no such file, an unknown name, or a name or size that contradicts the file.
        FoundWrong: not a checkpoint, cut off, another format number, or keys that are missing, unknown, misshapen or
            not finite.
    """
    path = Path(path)
    file = read_weights(path)
    if PERSONAL_HEADER in file.metadata:
        raise FoundWrong(f"{path}: a personal recogniser, of one user; expected a checkpoint")
    read = _ours if HEADER in file.metadata else _published
    return read(file, path, learner, backbone, frame_size_px).to(device)


def _ours(
    file: WeightFile, path: Path, learner: str | None, backbone: str | None, frame_size_px: int | None
) -> Recognizer:
    info = _info(file.metadata, path)
    for what, asked, found in (
        ("learner", learner, info.learner.name),
        ("backbone", backbone, info.backbone),
        ("frame size", frame_size_px, info.frame_size_px),
    ):
        if asked is not None and asked != found:
            raise AskedWrong(f"{path}: asked for {what} {asked}, but the checkpoint is of {what} {found}")
    recognizer = build_recognizer(info.learner, info.backbone, weights="random", frame_size_px=info.frame_size_px)
    load_checked(recognizer, file.tensors, where=f"{path} ({info.learner.name} on {info.backbone})")
    return recognizer


def _published(
    file: WeightFile, path: Path, learner: str | None, backbone: str | None, frame_size_px: int | None
) -> Recognizer:
    if learner is None or backbone is None:
        raise FoundWrong(
            f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header); "
            "if it is a published state dict, name its learner and backbone (or run 'orbit-lite convert' first)"
        )
    config = load_learner(learner).model_copy(update={"published_quirks": True})
    recognizer = build_recognizer(config, backbone, weights="random", frame_size_px=frame_size_px or FRAME_SIZE_PX)
    load_checked(
        recognizer,
        file.tensors,
        where=f"{path} as {config.name} on {backbone}",
        ignored=[PUBLISHED_EXTRACTOR + name for name in CLASSIFIERS],
        called=_published_name,
    )
    return recognizer


def _published_name(ours: str) -> str:
    beginning = next(beginning for beginning in PUBLISHED_NAMES if ours.startswith(beginning))
    return PUBLISHED_NAMES[beginning] + ours.removeprefix(beginning)


def _info(metadata: dict[str, str], path: Path) -> CheckpointInfo:
    if HEADER not in metadata:
        raise FoundWrong(f"{path}: not a checkpoint of this kit (no {HEADER!r} in its header)")
    try:
        header = json.loads(metadata[HEADER])
        number = header["format"]
        if number != FORMAT:
            raise FoundWrong(f"{path}: checkpoint format {number}; this release reads format {FORMAT}")
        info = CheckpointInfo(
            learner=parse_config(dict(header["learner"]), LearnerConfig, where=f"{path}, learner"),
            backbone=str(header["backbone"]),
            frame_size_px=int(header["frame_size_px"]),
            config=dict(header["config"]),
            meta=dict(header["meta"]),
        )
    except AskedWrong as error:  # the file's fault, or a newer release's: not the caller's
        raise FoundWrong(f"{error}; not a learner that is known here") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FoundWrong(f"{path}: the checkpoint's header is damaged ({type(error).__name__}: {error})") from None
    if info.backbone not in BACKBONES:
        raise FoundWrong(f"{path}: of backbone {info.backbone!r}, not known here{nearest(info.backbone, BACKBONES)}")
    return info
