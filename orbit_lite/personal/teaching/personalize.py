"""Teaches a personal recognizer from each user's folder and writes it to a file, completely or not at all."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from data_prep.tree.layout import nfc
from groundwork.errors import DataError, UsageError
from groundwork.files import write_text
from groundwork.outputs import Output, require_outputs
from groundwork.pages.cells import printable
from groundwork.reporting import report_failed
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.file_names import CSV_NAME, targets
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.start import describe_start
from orbit_lite.personal.teaching.material import UserVideos, read_user_videos
from orbit_lite.personal.teaching.sampling import PROTOCOL, Sampling
from orbit_lite.personal.teaching.summary import ObjectSummary, summarize, summary_csv, summary_text
from orbit_lite.personal.teaching.teach import BALANCED, Caution, add_objects, held_out, rename_objects, teach
from orbit_lite.runs.folder import versions

_LOG = logging.getLogger("orbit_lite")


@dataclass(frozen=True, eq=False)
class SavedRecognizer:
    """A personal recognizer that was just written to `file`, the videos that taught it, and one row per object."""

    personal: PersonalRecognizer
    user_videos: UserVideos
    rows: Sequence[ObjectSummary]
    file: Path

    def __str__(self) -> str:
        """The result, for the person who filmed."""
        lines = [*map(printable, self.user_videos.notes)]
        if aside := self.user_videos.clutter_videos:
            lines.append(
                f"{aside} clutter videos were not used: they do not teach, but are there to test the recognizer"
            )
        size = f", {self.file.stat().st_size / 1e6:.1f} MB" if self.file.is_file() else ""  # a pipe has none
        written = printable(f"written: {self.file}{size}")
        return "\n".join([*lines, summary_text(self.personal, self.rows), written])


def _ignore(_: object) -> None:
    """The default callback."""


def personalize(
    model: ModelChoice,
    folders: Sequence[Path],
    out: Path,
    *,
    caution: Caution = BALANCED,
    csv: Path | None = None,
    workers: int | None = None,
    device: torch.device,
    engine: str | None = None,
    written: Callable[[SavedRecognizer], object] = _ignore,
) -> list[Path]:
    """Teach a recognizer each user's objects.

    Args:
        model: a checkpoint, or a learner that is not meta-trained.
        folders: one per user, see data_prep.tree.own_videos.
        out: the file to write; for several users, a folder that gets a NAME.safetensors for each, and participants.csv.
        caution: as for `teach`.
        csv: file for one row per participant and object; optional.
        workers: processes that decode; the default is one per core.
        device: the device to compute on.
        engine: as for `read_user_videos`.
        written: called with each user's recognizer after its file is written.

    Returns:
        the files written.

    Raises:
        UsageError: if a folder or the model is missing, two folders have the same name, or `out` can't be written.
        DataError: if a user's videos are unusable; with several users, the others' files are still written.
    """
    files = targets(folders, out)
    require_outputs([], [Output("--out", file, example="alice.safetensors") for file in files])
    recognizer = model.load().to(device)
    origin = origin_of(model, recognizer.extractor.frame_size_px)
    done: list[SavedRecognizer] = []
    faults: list[str] = []
    for folder, target in zip(folders, files, strict=True):
        try:
            user_videos = read_user_videos(recognizer, folder, workers=workers, engine=engine)
            personal = teach(recognizer, user_videos, origin=origin, caution=caution)
        except DataError as error:
            if len(folders) == 1:
                raise
            report_failed(_LOG, str(error), error)
            faults.append(str(folder))
            continue
        taught = _saved(personal, user_videos, target)
        written(taught)
        done.append(taught)
    if len(folders) > 1:
        csv = csv or out / CSV_NAME
    if csv and done:
        write_text(csv, summary_csv([(taught.personal.user, taught.rows) for taught in done]))
        _LOG.info("one row per participant and object: %s", csv)
    if faults:
        rest = "the others were written" if done else "nothing was written"
        raise DataError(f"{len(faults)} of {len(folders)} users failed: {', '.join(faults)}; {rest}")
    return [taught.file for taught in done]


def teach_more(
    file: Path,
    folder: Path,
    out: Path,
    *,
    known: str = "refuse",
    caution: Caution | None = None,
    csv: Path | None = None,
    workers: int | None = None,
    device: torch.device,
    engine: str | None = None,
    written: Callable[[SavedRecognizer], object] = _ignore,
) -> PersonalRecognizer:
    """Add a folder's objects to a personal recognizer; the videos of its known objects are not needed.

    Args:
        file: the personal recognizer.
        folder: the new videos.
        out: the file to write; may be `file`.
        known, caution: see `add_objects`.
        csv, workers, device, engine, written: as for `personalize`.

    Raises:
        UsageError, DataError: as `personalize` and `add_objects`.
    """
    personal = load_personal(file, device=device)
    user_videos = read_user_videos(personal.fitted.recognizer, folder, workers=workers, engine=engine)
    more = add_objects(personal, user_videos, known=known, caution=caution)
    if more is not personal or out != file:
        save_personal(out, more)
    taught = _summarized(more, user_videos, out)
    written(taught)
    if csv:
        write_text(csv, summary_csv([(taught.personal.user, taught.rows)]))
    return taught.personal


def rename(file: Path, pairs: Sequence[str], out: Path, *, device: torch.device) -> PersonalRecognizer:
    """Rename objects of a personal recognizer.

    Args:
        file: the personal recognizer.
        pairs: `OLD=NEW` each; names are normalized to NFC. Both may contain equals signs: OLD is then the part that is
            a known object.
        out: the file to write; may be `file`.
        device: the device to compute on.

    Raises:
        UsageError: for an argument without an equals sign, or as `rename_objects`.
    """
    personal = load_personal(file, device=device)
    names: dict[str, str] = {}
    for pair in pairs:
        cuts = [place for place, letter in enumerate(pair) if letter == "="]
        known = [place for place in cuts if nfc(pair[:place]) in personal.objects]
        if not cuts:
            raise UsageError(f"--rename {pair}: expected OLD=NEW, such as mug='red mug'")
        place = (known or cuts)[0]
        if nfc(pair[:place]) in names:
            raise UsageError(f"--rename {pair}: {pair[:place]!r} is given two names")
        names[nfc(pair[:place])] = nfc(pair[place + 1 :])
    renamed = rename_objects(personal, names)
    save_personal(out, renamed)
    return renamed


def origin_of(model: ModelChoice, size_px: int) -> dict[str, Any]:
    """The `origin` of a PersonalRecognizer, which its file stores: model, config, sampling and versions."""
    return {
        **describe_start(model),
        "sampling": {"protocol": PROTOCOL, **asdict(Sampling.of_protocol(size_px))},
        "versions": versions(),
    }


def _saved(personal: PersonalRecognizer, user_videos: UserVideos, file: Path) -> SavedRecognizer:
    save_personal(file, personal)
    return _summarized(personal, user_videos, file)


def _summarized(personal: PersonalRecognizer, user_videos: UserVideos, file: Path) -> SavedRecognizer:
    return SavedRecognizer(personal, user_videos, summarize(personal, held_out(personal), user_videos), file)
