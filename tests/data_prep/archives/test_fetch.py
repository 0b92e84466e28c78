"""Downloads from a local server that misbehaves as real servers do."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data_prep.archives.fetch import Patience, Unreachable, fetch_json, fetch_zip
from groundwork.errors import DataError

BODY = b"PK\x03\x04" + bytes(range(256)) * 4000  # a megabyte
SIZE = len(BODY)
MD5 = hashlib.md5(BODY).hexdigest()
QUICK = Patience(attempts=3, pause_s=0.01, timeout_s=300)
BY_HAND = "Download it by hand."


class Server(ThreadingHTTPServer):
    """Gives the n-th of `answers` to the n-th request, then keeps giving the last; `ranges` records the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.ranges, self.if_ranges = [serve()], [], []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Stays silent: the client closes the connection on answers that it rejects."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        number = min(len(server.ranges), len(server.answers) - 1)
        server.ranges.append(self.headers.get("Range"))
        server.if_ranges.append(self.headers.get("If-Range"))
        server.answers[number](self)

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)


def serve(body=BODY, *, ranges=True, cut=None, **headers):
    """An answer with the file, by Range if `ranges`, cut off after `cut` bytes."""

    def answer(handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "")) if ranges else None
        first = int(asked[1]) if asked else 0
        if asked and first >= len(body):
            return handler.send(416, Content_Range=f"bytes */{len(body)}")
        part = {"Content_Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if asked else {}
        whole = body[first:]
        handler.send(
            206 if asked else 200, whole if cut is None else whole[:cut], Content_Length=len(whole), **part, **headers
        )

    return answer


def reply(status, body=b"", **headers):
    return lambda handler: handler.send(status, body, **headers)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, path, *, size=SIZE):
    fetch_zip(f"{server.url}/file", path, size_bytes=size, md5=MD5, by_hand=BY_HAND, patience=QUICK)


def test_the_whole_file_is_downloaded_and_nothing_else_left(server, tmp_path):
    fetch(server, tmp_path / "folder/a.zip")
    assert (tmp_path / "folder/a.zip").read_bytes() == BODY
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a.zip"]
    assert server.ranges == [None]


def test_an_interrupted_download_resumes_by_range(server, tmp_path):
    server.answers = [serve(cut=300_000, ETag='"v1"'), serve(cut=0), serve(cut=200_000, ETag='"v1"'), serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-", "bytes=300000-", "bytes=500000-"]
    assert server.if_ranges == [None, '"v1"', None, '"v1"']  # the second answer has no ETag


def test_a_later_run_resumes_and_its_md5_covers_the_existing_bytes(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:400_000])
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=400000-"] and (tmp_path / "a.zip").read_bytes() == BODY


def test_a_complete_part_needs_no_request(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY)
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == [] and (tmp_path / "a.zip").read_bytes() == BODY


def test_a_part_that_is_too_long_is_downloaded_again(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY + b"more")
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == [None] and (tmp_path / "a.zip").read_bytes() == BODY


def test_the_download_starts_over_if_the_server_ignores_range(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"PK\x03\x04 of another file" * 1000)
    server.answers = [serve(ranges=False)]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_retries_end_if_the_server_ignores_range_and_keeps_breaking(server, tmp_path):
    server.answers = [serve(ranges=False, cut=n) for n in (100_000, 150_000, 90_000, 150_000, 80_000)]
    with pytest.raises(Unreachable, match=r"80000 of 1024004 bytes have been received and are kept.*by hand"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 5


def test_retries_end_if_every_connection_breaks_and_the_part_is_kept(server, tmp_path):
    server.answers = [serve(cut=1000), serve(cut=0)]
    with pytest.raises(Unreachable, match="1000 of 1024004 bytes have been received and are kept"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:1000] and len(server.ranges) == 4
    server.answers = [serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_temporary_status_is_retried(server, tmp_path):
    server.answers = [reply(503), reply(429), serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply(202), "answers 202"),
        (reply(202, b"{}"), "answers 202"),
        (reply(200), "answer is empty"),
        (reply(200, Content_Length=None), "answer is empty"),
        (reply(403, b"no"), "answers 403"),
        (reply(404), "answers 404"),
        (reply(200, b"<html>log in</html>", Content_Type="text/html; charset=utf-8"), "web page"),
        (serve(b"<!DOCTYPE html>".ljust(len(BODY))), "expected a ZIP file"),
    ],
)
def test_an_answer_that_is_not_the_file_is_rejected_with_advice(server, tmp_path, answer, message):
    server.answers = [answer]
    with pytest.raises(DataError, match=f"{message}.*by hand"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 1 and list(tmp_path.iterdir()) == []


def test_a_rejected_answer_keeps_the_bytes_received_before(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [reply(403)]
    with pytest.raises(DataError, match="answers 403"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:500]


def test_a_wrong_checksum_removes_the_download(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"PK\x03\x04damaged")
    with pytest.raises(DataError, match=rf"md5 [0-9a-f]+, expected {MD5}.*removed; run the same command again"):
        fetch(server, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("have", [0, 500])
@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_a_size_other_than_published_is_rejected_before_the_download(server, tmp_path, size, have):
    (tmp_path / "a.zip.part").write_bytes(BODY[:have])
    with pytest.raises(DataError, match=f"the server has {len(BODY)} bytes, expected the published {size}"):
        fetch(server, tmp_path / "a.zip", size=size)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_stated_length_may_not_exceed_the_published_one(server, tmp_path):
    server.answers = [reply(200, BODY + b"x" * 10**6, Content_Length=None)]
    with pytest.raises(DataError, match="more than the published 1024004 bytes"):
        fetch(server, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content_range", [None, "bytes 0-9/1024004", "bytes 7-1024003/1024004", "lines 1-2/3"])
def test_a_part_other_than_requested_is_rejected(server, tmp_path, content_range):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [reply(206, BODY[:10], Content_Range=content_range)]
    with pytest.raises(DataError, match="asked for bytes from 500"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:500]


def test_the_download_starts_over_if_the_range_is_refused(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [reply(416), serve()]
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=500-", None] and (tmp_path / "a.zip").read_bytes() == BODY


def test_local_redirects_are_followed_with_their_range(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [reply(302, b"x" * 10**6, Location=f"http://localhost:{server.server_port}/there"), serve()]
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=500-"] * 2 and (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize("place", ["http://example.org/a.zip", "file:///etc/passwd", "ftp://example.org/a", "//evil/a"])
def test_redirects_to_unencrypted_connections_are_not_followed(server, tmp_path, place):
    server.answers = [reply(302, Location=place), serve()]
    with pytest.raises(DataError, match=r"leads to .*expected https|Redirection to .* is not allowed"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://example.org/a", "file:///etc/passwd", "ftp://example.org/a", "http://[::", ""])
def test_only_https_is_allowed(url):
    with pytest.raises(DataError, match="expected https"):
        fetch_json(url)


def test_no_server(server, tmp_path):
    server.server_close()
    with pytest.raises(Unreachable, match="refused"):
        fetch(server, tmp_path / "a.zip")
    with pytest.raises(Unreachable, match="refused"):
        fetch_json(server.url, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_json(server):
    server.answers = [reply(500), reply(200, b'{"a": ', Content_Length=9), reply(200, b'{"a": [1]}')]
    assert fetch_json(server.url, patience=QUICK) == {"a": [1]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply(200, b"[" * 100_000), "something else"),
        (reply(200, b"nonsense"), "something else"),
        (reply(200, b" " * (5 << 20)), "more than"),
        (reply(403), "403"),
        (reply(200, b"<p>", Content_Type="text/html"), "web page"),
    ],
)
def test_an_answer_that_is_not_json_is_rejected(server, answer, message):
    server.answers = [answer]
    with pytest.raises(DataError, match=message):
        fetch_json(server.url, patience=QUICK)
