"""Downloads one file over HTTPS, and keeps it only if its size and md5 are as published. Resumes by HTTP Range.

A server's answers are checked: a 202, an empty body or a web page is not the file, whatever the status says, and every
read has a limit.
"""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from groundwork.errors import DataError
from groundwork.progress import Progress
from groundwork.strict_json import parse_json

ZIP_BEGINS = b"PK\x03\x04"
PART_SUFFIX = ".part"
_CHUNK_BYTES = 1 << 18
_MB = 10**6
_MOST_JSON_BYTES = 4 << 20
_LONGEST_PAUSE_S = 60.0
_LOCAL = ("localhost", "127.0.0.1", "::1")
_PAGES = ("text/html", "application/xhtml+xml")
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # statuses worth another attempt
_CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]+)-(?P<last>[0-9]+)/(?P<total>[0-9]+|\*)")


class Unreachable(DataError):
    """The server can't be reached, or the connection kept breaking."""


@dataclass(frozen=True)
class Patience:
    """How often to retry a broken connection: up to `attempts` in a row that bring no new bytes.

    The pause before the next attempt doubles each time.
    """

    attempts: int = 6
    pause_s: float = 2.0
    timeout_s: float = 60.0


PATIENT = Patience()


class _Retryable(Exception):
    """This attempt failed; the next one may succeed."""


def fetch_zip(url: str, path: Path, *, size_bytes: int, md5: str, by_hand: str, patience: Patience = PATIENT) -> None:
    """Download a ZIP file to `path`, through `path`.part, which a later call resumes.

    Args:
        url: https, or http on this machine; redirects may not lead to anything else.
        path: where it goes, once it is complete and correct.
        size_bytes: its published size.
        md5: its published checksum, 32 lower-case hexadecimal digits.
        by_hand: how to download it by hand; the end of error messages.
        patience: attempts, pauses, timeout.

    Raises:
        Unreachable: if the server can't be reached or the connection breaks; received bytes are kept.
        DataError: if the server sends something else, or the size or md5 is wrong; wrong bytes are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part_path = path.with_name(path.name + PART_SUFFIX)
    try:
        with part_path.open("r+b" if part_path.exists() else "w+b") as file, Progress("MB", size_bytes // _MB) as shown:
            part = _Part(file, url, size_bytes, by_hand)
            part.hash_existing(shown)
            _receive_all(part, shown, patience)
            os.fsync(file.fileno())
        if (found := part.digest.hexdigest()) != md5:
            raise _WrongContent(
                f"{url}: md5 {found}, expected {md5}. The download was damaged and has been removed;"
                " run the same command again."
            )
        part_path.replace(path)
    except _WrongContent as wrong:
        part_path.unlink()
        raise DataError(str(wrong)) from None
    finally:
        if part_path.exists() and part_path.stat().st_size == 0:
            part_path.unlink()


def fetch_json(url: str, *, patience: Patience = PATIENT) -> Any:
    """Get a small JSON document, 4 MiB at most.

    Raises:
        Unreachable: if the server can't be reached.
        DataError: if its answer is something else.
    """
    reason = ""
    for attempt in range(patience.attempts):
        _pause(patience, attempt)
        try:
            with _open(url, {}, patience.timeout_s) as answer:
                _refuse_status(url, answer, (200,), "")
                content = _read(answer, _MOST_JSON_BYTES + 1)
                if len(content) <= _MOST_JSON_BYTES and answer.length:
                    raise _Retryable("the connection ended early")
            break
        except _Retryable as failed:
            reason = str(failed)
    else:
        raise Unreachable(f"{url}: {reason}.")
    try:
        if len(content) > _MOST_JSON_BYTES:
            raise ValueError(f"more than {_MOST_JSON_BYTES} bytes")
        return parse_json(content, finite=True)
    except ValueError as error:
        raise DataError(f"{url}: expected JSON, got something else ({error}).") from None


class _WrongContent(Exception):
    """The received bytes can't be the beginning of the file."""


@dataclass
class _Part:
    """The bytes received so far, with their md5."""

    file: BinaryIO
    url: str
    size_bytes: int
    by_hand: str
    have: int = 0
    etag: str = ""
    digest: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def hash_existing(self, progress: Progress) -> None:
        if self.file.seek(0, os.SEEK_END) > self.size_bytes:
            self.begin_again()
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK_BYTES):
            self.digest.update(chunk)
            self.have += len(chunk)
        progress.skip(self.have // _MB)

    def begin_again(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.have, self.digest = 0, hashlib.md5(usedforsecurity=False)

    def add(self, chunk: bytes) -> None:
        self.file.write(chunk)
        self.digest.update(chunk)
        self.have += len(chunk)


def _receive_all(part: _Part, progress: Progress, patience: Patience) -> None:
    furthest, fruitless = part.have, 0
    while part.have < part.size_bytes:
        _pause(patience, fruitless)
        reason = "the connection ended early"
        try:
            _receive(part, progress, patience.timeout_s)
        except _Retryable as failed:
            reason = str(failed)
        fruitless = 0 if part.have > furthest else fruitless + 1
        furthest = max(furthest, part.have)
        if fruitless >= patience.attempts:
            raise Unreachable(
                f"{part.url}: {reason}. {part.have} of {part.size_bytes} bytes have been received and are kept: run the"
                f" same command again to resume. {part.by_hand}"
            )


def _receive(part: _Part, progress: Progress, timeout_s: float) -> None:
    """Send one request and read the answer to its end."""
    headers = {"Range": f"bytes={part.have}-"} if part.have else {}
    if part.have and part.etag:
        headers["If-Range"] = part.etag
    with _open(part.url, headers, timeout_s) as answer:
        if answer.status == 416 and part.have:
            part.begin_again()
            raise _Retryable(f"the server has nothing after byte {headers['Range'][6:-1]}")
        _refuse_status(part.url, answer, (200, 206), part.by_hand)
        promised = _judge_length(part, answer)
        etag = answer.headers.get("ETag", "")
        part.etag = etag if etag.startswith('"') else ""  # a weak ETag does not guarantee identical bytes
        if part.have == 0:
            _receive_beginning(part, answer, promised)
        shown = part.have // _MB
        while chunk := _read(answer, min(_CHUNK_BYTES, part.size_bytes - part.have + 1)):
            if part.have + len(chunk) > part.size_bytes:
                raise _WrongContent(
                    f"{part.url}: the server sends more than the published {part.size_bytes} bytes. {part.by_hand}"
                )
            part.add(chunk)
            progress.advance(part.have // _MB - shown)
            shown = part.have // _MB


def _judge_length(part: _Part, answer: http.client.HTTPResponse) -> int | None:
    """Compare the announced length with what is missing, and start over if the server sends the whole file.

    Returns:
        the number of bytes to come, None if unknown.
    """
    header = answer.headers.get("Content-Length", "")
    length = int(header) if header.isascii() and header.isdigit() else None
    if answer.status == 200:
        part.begin_again()
        total = length
    else:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if match is None or int(match["first"]) != part.have:
            raise DataError(
                f"{part.url}: asked for bytes from {part.have}, got {answer.headers.get('Content-Range')!r}."
                f" {part.by_hand}"
            )
        total = None if match["total"] == "*" else int(match["total"])
    if total == 0:
        raise DataError(f"{part.url}: the server's answer is empty. {part.by_hand}")
    if total is not None and total != part.size_bytes:
        raise _WrongContent(
            f"{part.url}: the server has {total} bytes, expected the published {part.size_bytes}. {part.by_hand}"
        )
    return length


def _receive_beginning(part: _Part, answer: http.client.HTTPResponse, promised: int | None) -> None:
    beginning = _read(answer, len(ZIP_BEGINS))
    if not beginning and promised is None:
        raise DataError(f"{part.url}: the server's answer is empty. {part.by_hand}")
    if not ZIP_BEGINS.startswith(beginning):
        raise DataError(f"{part.url}: expected a ZIP file, got something else ({beginning!r}). {part.by_hand}")
    part.add(beginning)


def _refuse_status(url: str, answer: http.client.HTTPResponse, right: tuple[int, ...], by_hand: str) -> None:
    if answer.status in _TEMPORARY:
        raise _Retryable(f"the server answers {answer.status} {answer.reason}")
    if answer.status not in right:
        raise DataError(f"{url}: the server answers {answer.status} {answer.reason}, not the file. {by_hand}".rstrip())
    if answer.headers.get_content_type() in _PAGES and answer.headers.get("Content-Type"):
        raise DataError(f"{url}: the server answers with a web page, not the file. {by_hand}".rstrip())


def _pause(patience: Patience, fruitless: int) -> None:
    if fruitless:
        time.sleep(min(patience.pause_s * 2 ** (fruitless - 1), _LONGEST_PAUSE_S))


def _read(answer: http.client.HTTPResponse, most: int) -> bytes:
    """Up to `most` bytes, fewer only at the end. Connection errors become _Retryable."""
    try:
        return answer.read(most)
    except http.client.IncompleteRead as cut:
        return cut.partial
    except (OSError, http.client.HTTPException) as error:
        raise _Retryable(str(error) or type(error).__name__) from None


def _open(url: str, headers: Mapping[str, str], timeout_s: float) -> http.client.HTTPResponse:
    """Send a request and follow its redirects. Answers of any status are returned."""
    _require_https(url, url)
    request = urllib.request.Request(
        url, headers={"User-Agent": "orbit-lite", "Accept-Encoding": "identity", **headers}
    )
    try:
        answer: http.client.HTTPResponse = _OPENER.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:  # a redirect that urllib itself refuses: in a circle, or to a file
        raise DataError(f"{url}: {error}.") from None
    except urllib.error.URLError as error:
        raise _Retryable(str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Retryable(str(error) or type(error).__name__) from None
    return answer


def _require_https(url: str, first_url: str) -> None:
    """Require https, or http within this machine: an archive's checksum comes over the same connection."""
    try:
        place, first = urllib.parse.urlsplit(url), urllib.parse.urlsplit(first_url)
        local = all(p.scheme == "http" and p.hostname in _LOCAL for p in (place, first))
        if place.hostname and (place.scheme == "https" or local):
            return
    except ValueError:
        pass
    origin = "" if url == first_url else f"{first_url} leads to "
    raise DataError(f"{origin}{url}: expected https; not followed.")


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _require_https(newurl, req.full_url)
        fp.close()  # otherwise its body, of any length, is read into memory
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _EveryStatus(urllib.request.HTTPErrorProcessor):
    """Returns answers of every status and follows redirects, so that one place checks what a status means."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        if response.status in (301, 302, 303, 307, 308):
            return super().http_response(request, response)
        return response

    https_response = http_response


_OPENER = urllib.request.build_opener(_CarefulRedirects, _EveryStatus)
