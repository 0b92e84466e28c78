"""A published checkpoint to one of ours: the same weights and arithmetic, with learner and backbone written inside."""

from pathlib import Path

from groundwork.errors import AskedWrong
from orbit_lite.models.checkpoint import HEADER, load_recognizer, save_recognizer
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.models.weight_files import read_metadata
from orbit_lite.run_folder import file_sha256


def convert(published: Path, out: Path, *, learner: str, backbone: str, frame_size_px: int | None = None) -> Recognizer:
    """Write `out`, whole or not at all, over a file that may be there; give the recogniser it holds.

    Args:
        published: a state dict with the published names, or a `checkpoint.pt` that nests one; nothing in it is run.
        out: safetensors. Its header notes the published file's name and SHA-256.
        learner, backbone, frame_size_px: what the published file does not say; as for `load_recognizer`.

    Raises:
        AskedWrong: no such file, one that is ours already, `out` is the file itself, or an unknown name.
        FoundWrong: if the file does not hold that learner on that backbone; lists the keys.
    """
    if HEADER in read_metadata(published):
        raise AskedWrong(f"{published}: a checkpoint of this kit already; expected a published state dict")
    if out.exists() and out.samefile(published):
        raise AskedWrong(f"{out}: the published file itself; give another --out")
    recognizer = load_recognizer(published, learner=learner, backbone=backbone, frame_size_px=frame_size_px)
    source = {"file": published.name, "sha256": file_sha256(published)}
    save_recognizer(out, recognizer, config={}, meta={"converted_from": source})
    return recognizer
