"""Receives a form with files and streams them to the disk, with limits on size, number of files and names.

Starlette's own reader stores files in the system's temporary folder without a limit. Here each file goes to a folder on
the study's disk, and nothing remains of a form that breaks off or exceeds a limit.
"""

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from groundwork.errors import UsageError
from orbit_lite.studio.names import NameRefused, video_file_name
from orbit_lite.studio.wording import wording

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_LONGEST_FIELD = 4096  # bytes of a text field
_MOST_FIELDS = 20
_LONGEST_HEADER = 4096


@dataclass(frozen=True)
class Limits:
    """Limits on one request: bytes per file, bytes in total, and number of files."""

    file_bytes: int = 2 << 30
    form_bytes: int = 4 << 30
    files: int = 50


class TooMuch(UsageError):
    """A form that exceeds a limit; the rest of it is not read."""


@dataclass(frozen=True)
class SentFile:
    """A completely received file. name: a valid file name; "" if the file is refused, and `refused` says why."""

    name: str
    path: Path
    refused: str = ""


@dataclass
class SentForm:
    """The contents of a form: text fields by name, and files."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[SentFile] = field(default_factory=list)


@contextmanager
def incoming_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` for received files; it is removed at the end of the block, with the files still in
    it."""
    folder = parent / uuid.uuid4().hex
    parent.mkdir(exist_ok=True)  # without parents, because somebody may have removed or renamed the folder around it
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another upload is in it
            parent.rmdir()


async def receive_form(
    chunks: AsyncIterator[bytes], content_type: str, length: str | None, folder: Path, limits: Limits
) -> SentForm:
    """Read a form to its end and write its files into `folder`.

    Args:
        chunks: the request's body.
        content_type: the Content-Type header, with the boundary.
        length: the Content-Length header; a form whose length is too large is not read at all.
        folder: an empty folder.
        limits: the limits.

    Raises:
        TooMuch: if it exceeds a limit.
        UsageError: if it is not a form with files, or is cut off.
    """
    if length is not None and length.isdecimal() and int(length) > limits.form_bytes:
        raise TooMuch(wording()("form.too_large", most=in_gigabytes(limits.form_bytes)))
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UsageError(wording()("form.no_files"))
    reader = _FormReader(folder, limits)
    total = 0
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for chunk in chunks:
            total += len(chunk)
            if total > limits.form_bytes:
                raise TooMuch(wording()("form.too_large", most=in_gigabytes(limits.form_bytes)))
            parser.write(chunk)
        parser.finalize()
    except MultipartParseError:
        raise UsageError(wording()("form.damaged")) from None
    finally:
        reader.close()
    if not reader.ended:
        raise UsageError(wording()("form.cut_off"))
    return reader.form


def in_gigabytes(count: int) -> str:
    """`2 GB`, or `300 MB` below one gigabyte."""
    return f"{count / (1 << 30):.3g} GB" if count >= 1 << 30 else f"{count / (1 << 20):.3g} MB"


class _FormReader:
    """Receives the parser's callbacks."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.form, self.ended = SentForm(), False
        self._folder, self._limits = folder, limits
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._field, self._text = "", bytearray()
        self._file: BinaryIO | None = None
        self._written = 0

    def callbacks(self) -> "MultipartCallbacks":
        """The callbacks by the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._more(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._more(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._take(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        """Close a file that is still open."""
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._headers = {}

    def _more(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        if len(self._header[which]) > _LONGEST_HEADER:
            raise TooMuch(wording()("form.too_long"))

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if len(self.form.fields) >= _MOST_FIELDS:
                raise TooMuch(wording()("form.too_long"))
            self._text = bytearray()
            return
        sent = options[b"filename"].decode("utf-8", "replace")
        if not sent:  # an empty field for files
            return
        if len(self.form.files) >= self._limits.files:
            raise TooMuch(wording()("form.many_files", most=self._limits.files))
        self._written = 0
        try:
            name, refused = video_file_name(sent), ""
        except NameRefused as error:
            name, refused = "", str(error)
        place = self._folder / f"{len(self.form.files):03d}"
        place.mkdir()
        self.form.files.append(SentFile(name, place / (name or "refused"), refused))
        self._file = self.form.files[-1].path.open("xb")

    def _take(self, data: bytes) -> None:
        if self._file is not None:
            self._written += len(data)
            if self._written > self._limits.file_bytes:
                words, most = wording(), in_gigabytes(self._limits.file_bytes)
                name = self.form.files[-1].name or words("name.this_file")
                raise TooMuch(words("form.large_file", name=name, most=most))
            if not self.form.files[-1].refused:  # files refused by their names are not written
                self._file.write(data)
        elif b"filename=" not in self._headers.get(b"content-disposition", b""):
            self._text.extend(data)
            if len(self._text) > _LONGEST_FIELD:
                raise TooMuch(wording()("form.too_long"))

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif b"filename=" not in self._headers.get(b"content-disposition", b""):
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.ended = True
