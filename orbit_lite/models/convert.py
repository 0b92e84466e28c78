"""A published checkpoint to one of ours: the same weights and arithmetic, with learner and backbone written inside.

A checkpoint of ours from before hashes is written again with one.
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
    """Write `out`, whole or not at all, over a file that may be there; return the recognizer it holds.

    Args:
        published: a state dict with the published names, or a `checkpoint.pt` that nests one; or a checkpoint of ours
            from before hashes. Nothing in it is run.
        out: safetensors. Its header notes the file's name and SHA-256.
        learner, backbone, frame_size_px: what a published file does not say; as for `load_recognizer`.

    Raises:
        UsageError: no such file, one that is ours already, `out` is the file itself, or a missing or unknown name.
        DataError: if the file does not hold that learner on that backbone; lists the keys.
    """
    ours = read_checkpoint_info(published) if HEADER in read_metadata(published) else None
    if ours and ours.hashed:
        raise UsageError(f"{published}: a checkpoint of this kit already; expected a published state dict")
    if not ours and (learner is None or backbone is None):
        raise UsageError(
            f"{published}: not a checkpoint of this kit; of a published one, --learner and --backbone are required"
        )
    require_outputs([Input("PUBLISHED.pth", published)], [Output("--out", out, example="CKPT.safetensors")])
    recognizer = load_recognizer(published, learner=learner, backbone=backbone, frame_size_px=frame_size_px)
    noted = {"file": published.name, "sha256": file_sha256(published)}
    if ours:
        save_recognizer(out, recognizer, config=ours.config, meta={**ours.meta, "hashed_from": noted})
    else:
        save_recognizer(out, recognizer, config={}, meta={"converted_from": noted})
    return recognizer
