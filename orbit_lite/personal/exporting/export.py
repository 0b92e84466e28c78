"""Export: a personal recognizer to one file that other programs run, checked against our own before it takes its place.

The file holds the mean features of the user's objects and their names: personal data. It holds no frame, and no
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

# Of the texts in an exported file. In format 1 probabilities were the plain softmax of the logits, and familiarity the
# cosine to the nearest object's mean, with one threshold.
CARD_FORMAT = 2
CARD_FORMAT_KEY = "orbit_lite_export"
OUTPUTS_EXPLAINED = (
    f"logits (n, labels). probabilities (n, labels), calibrated: {1 - SMOOTHING:g} softmax(logits / temperature) + "
    f"{SMOOTHING:g} / labels. familiarity (n). A frame's answer is 'none of these' if its familiarity is below "
    "threshold. Otherwise it is the label with the highest probability: sure if its familiarity is at least "
    "sure_threshold and that probability at least sure_confidence, a 'maybe' if not. A threshold of null rejects no "
    "frame, a sure_threshold of null makes no answer sure."
)
LARGEST_ERROR = 1e-3  # of a file in float, see Agreement
CHECK_FRAMES, CALIBRATION_FRAMES = 64, 128  # of videos, at most
GOOD_SHARE = 0.95  # of frames that 8 bits answer as the recognizer does


@dataclass(frozen=True)
class ExportRequest:
    """What to make of a personal recognizer.

    format: a key of FORMATS. takes: what frames come as, UINT8 or FLOAT. check: videos or folders whose frames it is
    checked on: beside noise, or in 8 bits in place of frames of `calibrate`. calibrate: videos or folders by whose
    frames the 8-bit values are scaled; None for a file in float.
    """

    format: str
    takes: str = UINT8
    check: Sequence[Path] = ()
    calibrate: Sequence[Path] | None = None

    @property
    def int8(self) -> bool:
        """Whether in 8 bits."""
        return self.calibrate is not None


@dataclass(frozen=True)
class Exported:
    """An exported file that was just written: what it says of itself, how it was checked, how long a frame takes.

    objects: the labels. one_frame_ms: in the format's runtime; kit_frame_ms: in this kit; both medians of TIMED_RUNS,
    on `threads` threads.
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
        """For people, in lines."""
        lines = [
            f"frames: {self.card['frames']}",
            f"outputs: {self.card['outputs']}",
            f"labels: {printable(', '.join(self.objects))}",
            *(f"{name}: {_rounded(self.card[name])}" for name in ("threshold", "sure_threshold", "sure_confidence")),
            f"strictness: {self.card['strictness']}",
            *self._agreement_lines(),
            f"one frame: {self.one_frame_ms:.1f} ms in {FORMATS[self.request.format].runtime}, "
            f"{self.kit_frame_ms:.1f} ms in this kit (median of {TIMED_RUNS}, {self.threads} threads)",
            "Personal data: it holds the objects' names and the mean of each one's features. It holds no picture, and "
            "nothing of single frames.",
            f"written: {printable(str(self.file))}, {self.size_bytes / 1e6:.1f} MB",
        ]
        return "\n".join(lines)

    def _agreement_lines(self) -> list[str]:
        found = self.agreement
        if not self.request.int8:
            return [
                f"checked on {found.frames} frames: logits within {found.logits:.1g} of the recognizer's (in their "
                f"standard deviations), probabilities within {found.probabilities:.1g}, familiarity within "
                f"{found.familiarity:.1g}"
            ]
        frames = f"{found.frames} {'frames of --check' if self.request.check else 'others'}"
        loss = "That is a loss: 8 bits do not suit this network. Export without --int8, or look at what it answers."
        taught = "Where these videos also taught the recognizer, expect less of new ones: give some with --check."
        return [
            f"{self.card['network']}; on {frames} the same answer as the recognizer's in {100 * found.same:.1f} %, "
            f"probabilities within {found.probabilities:.2g} and familiarity within {found.familiarity:.2g} of its",
            *([loss] if found.same < GOOD_SHARE else []),
            *([] if self.request.check else [taught]),
        ]


def export(file: Path, out: Path | None, request: ExportRequest) -> Exported:
    """Write a personal recognizer as one graph, checked against it.

    Args:
        file: the personal recognizer.
        out: the file to write; beside `file`, with the format's suffix, if not given.

    Returns:
        what was written, and how it was checked.

    Raises:
        UsageError: if what was asked for does not go together, a package or a file is missing, or `out` is in the way.
        DataError: if `file` is not a whole personal recognizer, no video can be read, or the exported file does not
            say what the recognizer says; nothing is written then.
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
    elif not checked:  # noise says nothing about what 8 bits make of pictures
        checked = [halves[1]]
    images = np.concatenate(checked)
    _LOG.info("making %s, for %s", out.name, FORMATS[request.format].runtime)
    scaled_by = len(halves[0]) if halves else 0
    card = card_texts(personal, request, source_sha256=file_sha256(file), scaled_by=scaled_by)
    content = _content(personal, request, card, halves)
    opened, found = write_checked(out, content, card, personal, images, request)
    here_ms, there_ms = _frame_times_ms(personal, request, opened)
    return Exported(
        file=out,
        size_bytes=len(content),
        request=request,
        card=opened.texts,
        objects=tuple(personal.objects),
        agreement=found,
        one_frame_ms=there_ms,
        kit_frame_ms=here_ms,
        threads=torch.get_num_threads(),
    )


def write_checked(
    out: Path, content: bytes, card: Texts, personal: PersonalRecognizer, images: Images, request: ExportRequest
) -> tuple[Opened, Agreement]:
    """Write an exported file that says what the recognizer says, or nothing: read back from beside its place.

    Raises:
        DataError: if it says something else; of an 8-bit file, only if its texts are not the card's.
    """
    with whole_file(out) as file:
        file.write(content)
        file.flush()
        opened = FORMATS[request.format].open(Path(file.name), list(card))
        found = compare(personal, opened, images, takes=request.takes)
        if opened.texts != card:
            raise DataError(f"{out}: not written, for its metadata does not read back; try another --format")
        if not request.int8 and not found.error <= LARGEST_ERROR:  # so put that NaN is refused
            raise DataError(
                f"{out}: not written, for on {found.frames} frames its answers are not the recognizer's: "
                f"they differ by {found.error:.2g}, at most {LARGEST_ERROR:g} is allowed; try another --format"
            )
    return opened, found


def card_texts(
    personal: PersonalRecognizer, request: ExportRequest, *, source_sha256: str, scaled_by: int = 0
) -> dict[str, str]:
    """What an exported file says of itself; where not a plain text, as JSON. The user's name is not in it."""
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
    """A number as the card has it, short enough to be read aloud."""
    return number if number == "null" else f"{float(number):.4g}"


def _content(
    personal: PersonalRecognizer, request: ExportRequest, card: Texts, halves: tuple[Images, Images] | None
) -> bytes:
    """A file's bytes; in 8 bits, with frames to scale the values by, and others to judge that by."""
    kind = FORMATS[request.format]
    graph = PersonalGraph.of(personal, takes=request.takes, channels_last=kind.channels_last)
    dtype = torch.uint8 if request.takes == UINT8 else torch.float32
    example = torch.zeros(2, 3, personal.frame_size_px, personal.frame_size_px, dtype=dtype)
    if halves is None:
        return kind.write(graph, example, card)
    scaling, judging = (as_taken(images, request.takes) for images in halves)
    return onnx_bytes(quantized_model(graph, example, scaling, judging), card)


def _halves(images: Images) -> tuple[Images, Images]:
    """Every other frame, and the rest; a single one is in both."""
    return images[::2], images[1::2] if len(images) > 1 else images


def _require_sense(request: ExportRequest) -> None:
    """Refuse what can't be done before anything is loaded."""
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
    """How long one frame takes here, and there."""
    one = noise_images(personal.frame_size_px)[:1]
    frame, image = as_taken(one, request.takes), torch.from_numpy(one)
    return median_ms(lambda: personal.scores(image)), median_ms(lambda: opened.run(frame))
