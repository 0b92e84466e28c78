"""Exports a personal recognizer to one file that other programs can run, and compares it with the recognizer first.

The file is personal data: it holds the names and mean features of the user's objects. It holds no frames, and no
features of single frames.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from groundwork.errors import DataError, UsageError
from groundwork.files import file_sha256, whole_file
from groundwork.outputs import Input, Output, require_outputs
from groundwork.pages.cells import printable
from orbit_lite.personal.decision.confidence import SMOOTHING
from orbit_lite.personal.decision.rejection import SURE_CONFIDENCE
from orbit_lite.personal.exporting.agreement import (
    TIMED_RUNS,
    Agreement,
    Images,
    as_taken,
    compare,
    median_ms,
    noise_images,
    video_images,
)
from orbit_lite.personal.exporting.formats import FORMATS, Opened, Texts, onnx_bytes, require_onnx
from orbit_lite.personal.exporting.graph import UINT8, PersonalGraph
from orbit_lite.personal.exporting.quantize import quantized_model
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.file_names import export_path
from orbit_lite.personal.promises import how_strict
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.runs.folder import versions

_LOG = logging.getLogger("orbit_lite")

# Version of the metadata in an exported file. In format 1, probabilities were the plain softmax of the logits, and
# familiarity was the cosine to the nearest object's mean, with one threshold.
CARD_FORMAT = 2
CARD_FORMAT_KEY = "orbit_lite_export"
OUTPUTS_EXPLAINED = (
    f"logits (n, labels). probabilities (n, labels), calibrated: {1 - SMOOTHING:g} softmax(logits / temperature) + "
    f"{SMOOTHING:g} / labels. familiarity (n). A frame's answer is 'none of these' if its familiarity is below "
    "threshold. Otherwise it is the label with the highest probability: sure if its familiarity is at least "
    "sure_threshold and that probability at least sure_confidence, a 'maybe' if not. A threshold of null rejects no "
    "frame, a sure_threshold of null makes no answer sure."
)
LARGEST_ERROR = 1e-3  # allowed for a file in float, see Agreement
CHECK_FRAMES, CALIBRATION_FRAMES = 64, 128  # largest numbers of frames taken from videos
GOOD_SHARE = 0.95  # smallest acceptable share of frames that an 8-bit file answers as the recognizer does


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    format: a key of FORMATS. takes: the input's pixel values, UINT8 or FLOAT. check: videos or folders whose frames are
    compared, in addition to noise, or for an 8-bit file instead of frames of `calibrate`. calibrate: videos or folders
    whose frames set the scales of the 8-bit values; None for a file in float.
    """

    format: str
    takes: str = UINT8
    check: Sequence[Path] = ()
    calibrate: Sequence[Path] | None = None

    @property
    def int8(self) -> bool:
        """Whether the file is in 8 bits."""
        return self.calibrate is not None


@dataclass(frozen=True)
class Exported:
    """An exported file that was just written: its metadata, its comparison with the recognizer, and its speed.

    objects: the labels. one_frame_ms: time per frame in the format's runtime; kit_frame_ms: in this kit; both are
    medians of TIMED_RUNS, on `threads` threads.
    """

    file: Path
    size_bytes: int
    request: ExportRequest
    card: Texts
    objects: tuple[str, ...]
    agreement: Agreement
    one_frame_ms: float
    kit_frame_ms: float
    threads: int

    def __str__(self) -> str:
        """Some lines for people."""
        lines = [
            f"frames: {self.card['frames']}",
            f"outputs: {self.card['outputs']}",
            f"labels: {printable(', '.join(self.objects))}",
            *(f"{name}: {_rounded(self.card[name])}" for name in ("threshold", "sure_threshold", "sure_confidence")),
            f"strictness: {self.card['strictness']}",
            *self._agreement_lines(),
            f"one frame: {self.one_frame_ms:.1f} ms in {FORMATS[self.request.format].runtime}, "
            f"{self.kit_frame_ms:.1f} ms in this kit (median of {TIMED_RUNS}, {self.threads} threads)",
            "This file is personal data: it holds each object's name and mean feature vector. It holds no "
            "pictures, and no features of single frames.",
            f"written: {printable(str(self.file))}, {self.size_bytes / 1e6:.1f} MB",
        ]
        return "\n".join(lines)

    def _agreement_lines(self) -> list[str]:
        found = self.agreement
        if not self.request.int8:
            return [
                f"compared with the recognizer on {found.frames} frames: logits within {found.logits:.1g} (in standard "
                f"deviations), probabilities within {found.probabilities:.1g}, familiarity within "
                f"{found.familiarity:.1g}"
            ]
        frames = f"{found.frames} {'frames of --check' if self.request.check else 'other frames'}"
        loss = "That is too few: 8 bits do not suit this network. Export without --int8, or test its answers carefully."
        taught = (
            "If these videos also taught the recognizer, agreement on new ones may be lower: give some with --check."
        )
        return [
            f"{self.card['network']}; on {frames}, the same answer as the recognizer for {100 * found.same:.1f} %, "
            f"probabilities within {found.probabilities:.2g} and familiarity within {found.familiarity:.2g}",
            *([loss] if found.same < GOOD_SHARE else []),
            *([] if self.request.check else [taught]),
        ]


def export(file: Path, out: Path | None, request: ExportRequest) -> Exported:
    """Write a personal recognizer as one graph, after comparing the two.

    Args:
        file: the personal recognizer.
        out: the file to write; by default beside `file`, with the format's suffix.
        request: what to export.

    Returns:
        what was written, and the comparison.

    Raises:
        UsageError: if options contradict each other, a package or a file is missing, or `out` can't be written.
        DataError: if `file` is not a valid personal recognizer, no video can be read, or the exported file's scores
            differ from the recognizer's; nothing is written then.
    """
    out = out or export_path(file, format=request.format, int8=request.int8)
    require_outputs([Input("FILE", file)], [Output("--out", out, example="alice.onnx")])
    _require_sense(request)
    personal = load_personal(file)
    size_px = personal.frame_size_px
    halves = None
    if request.calibrate is not None:
        halves = _halves(_read(request.calibrate, size_px, most=CALIBRATION_FRAMES))
    checked = [_read(request.check, size_px, most=CHECK_FRAMES)] if request.check else []
    if halves is None:
        checked.insert(0, noise_images(size_px))
    elif not checked:  # noise says nothing about how 8 bits work on pictures
        checked = [halves[1]]
    images = np.concatenate(checked)
    _LOG.info("making %s, for %s", out.name, FORMATS[request.format].runtime)
    scaled_by = len(halves[0]) if halves else 0
    card = card_texts(personal, request, source_sha256=file_sha256(file), scaled_by=scaled_by)
    content = _content(personal, request, card, halves)
    opened, found = write_checked(out, content, card, personal, images, request)
    kit_ms, runtime_ms = _frame_times_ms(personal, request, opened)
    return Exported(
        file=out,
        size_bytes=len(content),
        request=request,
        card=opened.texts,
        objects=tuple(personal.objects),
        agreement=found,
        one_frame_ms=runtime_ms,
        kit_frame_ms=kit_ms,
        threads=torch.get_num_threads(),
    )


def write_checked(
    out: Path, content: bytes, card: Texts, personal: PersonalRecognizer, images: Images, request: ExportRequest
) -> tuple[Opened, Agreement]:
    """Write an exported file only if it agrees with the recognizer, after reading it back from a temporary file.

    Raises:
        DataError: if it does not agree; for an 8-bit file, only if its metadata differs.
    """
    with whole_file(out) as file:
        file.write(content)
        file.flush()
        opened = FORMATS[request.format].open(Path(file.name), list(card))
        found = compare(personal, opened, images, takes=request.takes)
        if opened.texts != card:
            raise DataError(f"{out}: not written, because its metadata can't be read back; try another --format")
        if not request.int8 and not found.error <= LARGEST_ERROR:  # written so that NaN is refused
            raise DataError(
                f"{out}: not written, because its scores on {found.frames} frames differ from the recognizer's by "
                f"{found.error:.2g}; at most {LARGEST_ERROR:g} is allowed. Try another --format"
            )
    return opened, found


def card_texts(
    personal: PersonalRecognizer, request: ExportRequest, *, source_sha256: str, scaled_by: int = 0
) -> dict[str, str]:
    """An exported file's metadata; values other than text are JSON. It does not contain the user's name."""
    size_px, recognizer, point = personal.frame_size_px, personal.fitted.recognizer, personal.rejection.point
    values = "uint8, 0 to 255" if request.takes == UINT8 else "float32, 0 to 1"
    return {
        CARD_FORMAT_KEY: str(CARD_FORMAT),
        "labels": json.dumps(personal.objects, ensure_ascii=False),
        "threshold": json.dumps(point.threshold),
        "sure_threshold": json.dumps(point.sure_threshold),
        "sure_confidence": json.dumps(SURE_CONFIDENCE),
        "strictness": how_strict(personal.rejection),
        "temperature": json.dumps(personal.calibration.temperature),
        "frame_size_px": str(size_px),
        "frames": f"(n, 3, {size_px}, {size_px}), {values}, RGB: the picture's central square, scaled by averaging",
        "outputs": OUTPUTS_EXPLAINED,
        "learner": recognizer.learner.name if recognizer.learner else "",
        "backbone": recognizer.extractor.backbone.name,
        "network": f"8 bits, scaled by {scaled_by} frames" if request.int8 else "float32",
        "source_sha256": source_sha256,
        "versions": json.dumps(versions()),
    }


def _rounded(number: str) -> str:
    """A number of the metadata, short enough to be read aloud."""
    return number if number == "null" else f"{float(number):.4g}"


def _content(
    personal: PersonalRecognizer, request: ExportRequest, card: Texts, halves: tuple[Images, Images] | None
) -> bytes:
    """The file's bytes; for 8 bits, `halves` holds the frames that set the scales and those that judge them."""
    kind = FORMATS[request.format]
    graph = PersonalGraph.of(personal, takes=request.takes, channels_last=kind.channels_last)
    dtype = torch.uint8 if request.takes == UINT8 else torch.float32
    example = torch.zeros(2, 3, personal.frame_size_px, personal.frame_size_px, dtype=dtype)
    if halves is None:
        return kind.write(graph, example, card)
    scaling, judging = (as_taken(images, request.takes) for images in halves)
    return onnx_bytes(quantized_model(graph, example, scaling, judging), card)


def _halves(images: Images) -> tuple[Images, Images]:
    """Every other frame, and the remaining ones; a single frame is in both."""
    return images[::2], images[1::2] if len(images) > 1 else images


def _require_sense(request: ExportRequest) -> None:
    """Refuse impossible requests before anything is loaded."""
    if request.int8 and request.format != "onnx":
        raise UsageError(f"--int8 can be used only with --format onnx, not with {request.format}")
    if request.format == "onnx":
        require_onnx()


def _read(paths: Sequence[Path], size_px: int, *, most: int) -> Images:
    images, notes = video_images(paths, size_px=size_px, most=most)
    for note in notes:
        _LOG.warning("note: %s", note)
    return images


def _frame_times_ms(personal: PersonalRecognizer, request: ExportRequest, opened: Opened) -> tuple[float, float]:
    """Milliseconds per frame in this kit, and in the format's runtime."""
    one = noise_images(personal.frame_size_px)[:1]
    frame, image = as_taken(one, request.takes), torch.from_numpy(one)
    return median_ms(lambda: personal.scores(image)), median_ms(lambda: opened.run(frame))
