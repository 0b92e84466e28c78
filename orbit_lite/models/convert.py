"""Converts a published checkpoint to our format: same weights and arithmetic, with learner and backbone in the header.

It also adds a hash to our own checkpoints from before there were hashes.
"""

from pathlib import Path

from groundwork.errors import UsageError
from groundwork.files import file_sha256
from groundwork.outputs import Input, Output, require_outputs
from orbit_lite.models.checkpoint import HEADER, load_recognizer, read_checkpoint_info, save_recognizer
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.models.weight_files import read_metadata


def convert(
    published: Path,
    out: Path,
    *,
    learner: str | None = None,
    backbone: str | None = None,
    frame_size_px: int | None = None,
) -> Recognizer:
    """Write `out` atomically, replacing an existing file; return the recognizer in it.

    Args:
        published: a state dict with the published names, or a `checkpoint.pt` that contains one; or one of our
            checkpoints without a hash. No code in it is run.
        out: the safetensors file to write. Its header records the source file's name and SHA-256.
        learner, backbone, frame_size_px: facts that a published file lacks; see `load_recognizer`.

    Raises:
        UsageError: if the file is missing or already in our format, `out` is the file itself, or a name is missing or
            unknown.
        DataError: if the file does not hold that learner on that backbone; the message lists the keys.
    """
    ours = read_checkpoint_info(published) if HEADER in read_metadata(published) else None
    if ours and ours.hashed:
        raise UsageError(f"{published}: already a checkpoint of this kit; expected a published state dict")
    if not ours and (learner is None or backbone is None):
        raise UsageError(
            f"{published}: not a checkpoint of this kit; for a published one, give --learner and --backbone"
        )
    require_outputs([Input("PUBLISHED.pth", published)], [Output("--out", out, example="CKPT.safetensors")])
    recognizer = load_recognizer(published, learner=learner, backbone=backbone, frame_size_px=frame_size_px)
    noted = {"file": published.name, "sha256": file_sha256(published)}
    if ours:
        save_recognizer(out, recognizer, config=ours.config, meta={**ours.meta, "hashed_from": noted})
    else:
        save_recognizer(out, recognizer, config={}, meta={"converted_from": noted})
    return recognizer
