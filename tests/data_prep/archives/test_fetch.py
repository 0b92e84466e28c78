"""Downloads from a server on this machine that behaves in all the ways servers do."""

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
    """Answers the n-th request by the n-th of `answers`, the last one for good; `ranges` are what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.ranges, self.if_ranges = [serve()], [], []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """The client hangs up on what it refuses."""


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
    """The file; with Range unless told otherwise, and cut off after `cut` bytes of the answer."""

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


def says(status, body=b"", **headers):
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


def test_the_whole_file_and_nothing_beside_it(server, tmp_path):
    fetch(server, tmp_path / "folder/a.zip")
    assert (tmp_path / "folder/a.zip").read_bytes() == BODY
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a.zip"]
    assert server.ranges == [None]


def test_goes_on_by_range_where_the_connection_was_cut(server, tmp_path):
    server.answers = [serve(cut=300_000, ETag='"v1"'), serve(cut=0), serve(cut=200_000, ETag='"v1"'), serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-", "bytes=300000-", "bytes=500000-"]
    assert server.if_ranges == [None, '"v1"', None, '"v1"']  # the second answer names no version


def test_a_later_run_goes_on_and_its_md5_covers_what_was_there(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:400_000])
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=400000-"] and (tmp_path / "a.zip").read_bytes() == BODY


def test_a_part_that_is_whole_asks_for_nothing(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY)
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == [] and (tmp_path / "a.zip").read_bytes() == BODY


def test_a_part_that_is_too_long_is_begun_again(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY + b"more")
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == [None] and (tmp_path / "a.zip").read_bytes() == BODY


def test_a_server_that_ignores_range_starts_over(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"PK\x03\x04 of another file" * 1000)
    server.answers = [serve(ranges=False)]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_server_that_ignores_range_and_cuts_off_is_given_up(server, tmp_path):
    server.answers = [serve(ranges=False, cut=n) for n in (100_000, 150_000, 90_000, 150_000, 80_000)]
    with pytest.raises(Unreachable, match=r"80000 of 1024004 bytes are here and kept.*by hand"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 5


def test_connections_that_break_for_good_are_given_up_and_the_part_is_kept(server, tmp_path):
    server.answers = [serve(cut=1000), serve(cut=0)]
    with pytest.raises(Unreachable, match="1000 of 1024004 bytes are here and kept"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:1000] and len(server.ranges) == 4
    server.answers = [serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_passing_status_is_asked_again(server, tmp_path):
    server.answers = [says(503), says(429), serve()]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says(202), "answers 202"),
        (says(202, b"{}"), "answers 202"),
        (says(200), "empty answer"),
        (says(200, Content_Length=None), "empty answer"),
        (says(403, b"no"), "answers 403"),
        (says(404), "answers 404"),
        (says(200, b"<html>log in</html>", Content_Type="text/html; charset=utf-8"), "web page"),
        (serve(b"<!DOCTYPE html>".ljust(len(BODY))), "expected a ZIP file"),
    ],
)
def test_what_is_no_file_is_refused_at_once_with_what_to_do(server, tmp_path, answer, message):
    server.answers = [answer]
    with pytest.raises(DataError, match=f"{message}.*by hand"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 1 and list(tmp_path.iterdir()) == []


def test_a_refusal_leaves_what_came_before(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [says(403)]
    with pytest.raises(DataError, match="answers 403"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:500]


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"PK\x03\x04damaged")
    with pytest.raises(DataError, match=rf"md5 [0-9a-f]+, expected {MD5}.*removed; run the same command again"):
        fetch(server, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("have", [0, 500])
@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_another_size_than_published_is_refused_before_it_is_fetched(server, tmp_path, size, have):
    (tmp_path / "a.zip.part").write_bytes(BODY[:have])
    with pytest.raises(DataError, match=f"{len(BODY)} bytes there, {size} published"):
        fetch(server, tmp_path / "a.zip", size=size)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_stated_length_is_cut_at_the_published_one(server, tmp_path):
    server.answers = [says(200, BODY + b"x" * 10**6, Content_Length=None)]
    with pytest.raises(DataError, match="more than the 1024004 bytes published"):
        fetch(server, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content_range", [None, "bytes 0-9/1024004", "bytes 7-1024003/1024004", "lines 1-2/3"])
def test_another_part_than_asked_for_is_refused(server, tmp_path, content_range):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [says(206, BODY[:10], Content_Range=content_range)]
    with pytest.raises(DataError, match="asked for bytes from 500"):
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == BODY[:500]


def test_a_range_that_is_refused_starts_over(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [says(416), serve()]
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=500-", None] and (tmp_path / "a.zip").read_bytes() == BODY


def test_redirects_within_the_machine_are_followed_with_their_range(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(BODY[:500])
    server.answers = [says(302, b"x" * 10**6, Location=f"http://localhost:{server.server_port}/there"), serve()]
    fetch(server, tmp_path / "a.zip")
    assert server.ranges == ["bytes=500-"] * 2 and (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize("place", ["http://example.org/a.zip", "file:///etc/passwd", "ftp://example.org/a", "//evil/a"])
def test_redirects_to_an_open_line_are_not_followed(server, tmp_path, place):
    server.answers = [says(302, Location=place), serve()]
    with pytest.raises(DataError, match=r"leads to .*expected https|Redirection to .* is not allowed"):
        fetch(server, tmp_path / "a.zip")
    assert len(server.ranges) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://example.org/a", "file:///etc/passwd", "ftp://example.org/a", "http://[::", ""])
def test_only_https_is_asked(url):
    with pytest.raises(DataError, match="expected https"):
        fetch_json(url)


def test_nobody_there(server, tmp_path):
    server.server_close()
    with pytest.raises(Unreachable, match="refused"):
        fetch(server, tmp_path / "a.zip")
    with pytest.raises(Unreachable, match="refused"):
        fetch_json(server.url, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_json(server):
    server.answers = [says(500), says(200, b'{"a": ', Content_Length=9), says(200, b'{"a": [1]}')]
    assert fetch_json(server.url, patience=QUICK) == {"a": [1]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says(200, b"[" * 100_000), "something else"),
        (says(200, b"nonsense"), "something else"),
        (says(200, b" " * (5 << 20)), "more than"),
        (says(403), "403"),
        (says(200, b"<p>", Content_Type="text/html"), "web page"),
    ],
)
def test_what_is_no_json_is_refused(server, answer, message):
    server.answers = [answer]
    with pytest.raises(DataError, match=message):
        fetch_json(server.url, patience=QUICK)
