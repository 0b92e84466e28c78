"""Names, forms and files of somebody who means no good, or whose browser died: nothing outside, nothing half."""

import os
import shutil
import socket
import time

import pytest

from orbit_lite.studio.receiving import Limits

LIMITS = Limits(file_bytes=2_000_000, form_bytes=3_000_000, files=3)
VIDEOS = ("p", "P01", "t", "mug", "videos")


@pytest.fixture
def client(serve, tmp_path):
    root = tmp_path / "study"
    (root / "P01" / "mug").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"not for anybody")
    with serve(root, limits=LIMITS) as client:
        yield client.let_in()


@pytest.fixture(scope="module")
def video(filmed) -> bytes:
    return next((sorted(filmed.iterdir())[0] / "clean").iterdir()).read_bytes()


def files(root):
    """All files and folders below, but for the server's own lock."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.name != ".lock")


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "x\0y",
        "\u202ex",
        "train",
        "Results",
        "CON",
        "a:b",
        "x" * 81,
        " ",
        "annotations",
        "x.",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_beside_its_field(client, name):
    before = files(client.root.parent)
    for place in (("participants",), ("p", "P01", "things"), ("p", "P01", "t", "mug", "rename")):
        status, _, text = client.form(*place, name=name)
        assert status == 422 and 'aria-invalid="true"' in text and 'id="name-error"' in text
    assert files(client.root.parent) == before


@pytest.mark.parametrize("place", [
    "/p/..", "/p/%2e%2e", "/p/..%2f..%2fetc", "/p/P01/t/..", "/p/P01/t/%2e%2e/v/clean/secret.mp4/picture",
    "/p/P01/t/mug/v/../secret.mp4/picture", "/p/P01/t/mug/v/clean/..%2f..%2f..%2fsecret.mp4/picture",
    "/p/P01/report/..%2f..%2fsecret/", "/p/P01/report/check/..%2f..%2fsecret.csv", "/static/../app.py",
    "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/p/P01%00/try", "//etc/passwd",
])  # fmt: skip
def test_an_address_that_leads_elsewhere_leads_nowhere(client, place):
    status, _, text = client.ask("GET", place)
    assert status in (400, 404) and "not for anybody" not in text and "def make_app" not in text


@pytest.mark.parametrize(
    "name",
    [
        "../../out.mp4",
        "..\\..\\out.mp4",
        "/etc/out.mp4",
        "C:\\out.mp4",
        "a\x01b.mp4",
        "x" * 300 + ".mp4",
        "CON.mp4",
        ".hidden.mp4",
        "-rf.mp4",
        "%2e%2e%2fout.mp4",
    ],
)
def test_a_file_gets_a_name_of_its_own_folder(client, video, name):
    (sent,) = client.upload(*VIDEOS, files=[(name, video)])
    assert sent["kept"], sent
    (path,) = client.root.rglob("*.mp4")
    assert path.parent == client.root / "P01/mug/clean" and not path.name.startswith((".", "-"))
    assert path.name == sent["name"] and len(path.name.encode()) < 100


def test_two_of_one_name_are_two(client, video):
    names = [one["name"] for one in client.upload(*VIDEOS, files=[("A.mp4", video), ("a.MP4", video)])]
    assert names == ["A.mp4", "a-2.mp4"]


@pytest.mark.parametrize(("name", "content", "why"), [
    ("page.html", b"<script>alert(1)</script>", "no video or photo by its name"),
    ("film.mp4", b"<script>alert(1)</script>", "film.mp4"),
    ("film.mp4", b"", "film.mp4"),
    ("photo.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 300, "photo.jpg"),
    ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1/x\nfile:///etc/passwd\n", "playlist"),
])  # fmt: skip
def test_what_is_no_video_is_not_kept_and_the_line_says_why(client, video, name, content, why):
    sent = client.upload(*VIDEOS, files=[(name, content), ("good.mp4", video)])
    assert [one["kept"] for one in sent] == [False, True]
    assert why in sent[0]["line"] and ".incoming" not in sent[0]["line"] and "<" not in sent[0]["line"]
    assert files(client.root / "P01") == ["mug", "mug/clean", "mug/clean/good.mp4"]


def test_a_cut_off_video_is_not_kept(client, video):
    (sent,) = client.upload(*VIDEOS, files=[("film.mp4", video[: len(video) // 2])])
    assert not sent["kept"] and files(client.root / "P01") == ["mug"]


def test_a_form_beyond_a_limit_is_refused_and_leaves_nothing(client, video):
    assert "the most for one file" in client.upload(*VIDEOS, files=[("long.mp4", b"x" * 2_500_000)])
    assert "at once" in client.upload(*VIDEOS, files=[(f"{n}.mp4", b"x" * 1_500_000) for n in range(3)])
    assert "3 files at once are the most" in client.upload(*VIDEOS, files=[(f"{n}.mp4", video) for n in range(4)])
    assert files(client.root / "P01") == ["mug"]


def test_five_gigabytes_are_refused_before_they_are_sent(client):
    kind = "multipart/form-data; boundary=x"
    started = time.monotonic()
    status, headers, text = client.ask(
        "POST", client.place(*VIDEOS), b"--x\r\n", Content_Type=kind, Content_Length=5 << 30
    )
    assert status == 413 and headers["connection"] == "close" and "at once" in text
    assert time.monotonic() - started < 30 and files(client.root / "P01") == ["mug"]


def test_five_gigabytes_without_a_word_of_it_are_cut_off_at_the_limit(client):
    """In chunks, whose sum nobody has said."""
    own = f"127.0.0.1:{client.address.port}"
    head = [
        f"POST {client.place(*VIDEOS)} HTTP/1.1",
        f"Host: {own}",
        f"Origin: http://{own}",
        f"Cookie: {client.cookie}",
        "Content-Type: multipart/form-data; boundary=x",
        "Transfer-Encoding: chunked",
        "",
        "",
    ]
    begin = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    chunk = b"%x\r\n" % 65536 + b"\0" * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", client.address.port), timeout=30) as line:
        line.sendall("\r\n".join(head).encode() + b"%x\r\n" % len(begin) + begin + b"\r\n")
        with pytest.raises(OSError):
            while sent < 5 << 30:
                line.sendall(chunk)
                sent += 65536
    assert sent < 200_000_000
    assert files(client.root / "P01") == ["mug"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"--x",
        b"--x\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nabc',
        b"--x\r\n" + b"A" * 20_000 + b": b\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="place"\r\n\r\n' + b"a" * 9000,
        b"".join(b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(40)),
    ],
)
def test_a_form_that_is_none_is_one_plain_line(client, body):
    status, _, text = client.ask("POST", client.place(*VIDEOS), body, Content_Type="multipart/form-data; boundary=x")
    assert status in (400, 413) and 'role="alert"' in text and "Traceback" not in text
    assert client.ask("POST", client.place(*VIDEOS), body, Content_Type="text/plain")[0] == 400
    assert files(client.root / "P01") == ["mug"]


def test_a_connection_that_breaks_in_an_upload_leaves_nothing(client, video):
    own = f"127.0.0.1:{client.address.port}"
    head = [
        f"POST {client.place(*VIDEOS)} HTTP/1.1",
        f"Host: {own}",
        f"Origin: http://{own}",
        f"Cookie: {client.cookie}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {len(video) + 1000}",
        "",
        "",
    ]
    begin = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", client.address.port), timeout=30) as line:
        line.sendall("\r\n".join(head).encode() + begin + video[:4000])
        until = time.monotonic() + 30
        while not list(client.root.rglob("a.mp4")) and time.monotonic() < until:
            time.sleep(0.01)
        assert list(client.root.rglob("a.mp4"))
    until = time.monotonic() + 30
    while files(client.root / "P01") != ["mug"] and time.monotonic() < until:
        time.sleep(0.01)
    assert files(client.root / "P01") == ["mug"]


def test_an_unknown_place_for_a_video_is_refused(client, video):
    (sent,) = client.upload(*VIDEOS, files=[("a.mp4", video)], place="../../out")
    assert not sent["kept"] and files(client.root.parent) == ["secret.mp4", "study", "study/P01", "study/P01/mug"]


def test_links_are_neither_shown_nor_followed(client, video, tmp_path):
    (tmp_path / "elsewhere" / "clean").mkdir(parents=True)
    (tmp_path / "elsewhere/clean/private.mp4").write_bytes(video)
    (client.root / "P02").symlink_to(tmp_path / "elsewhere")
    (client.root / "P01/linked").symlink_to(tmp_path / "elsewhere")
    (client.root / "P01/mug/clean").symlink_to(tmp_path / "elsewhere/clean")
    (client.root / "P01/mug/private.mp4").symlink_to(tmp_path / "elsewhere/clean/private.mp4")
    assert "P02" not in client.page() and "private.mp4" not in client.page("p", "P01", "t", "mug")
    for place in ("/p/P02", "/p/P01/t/linked", "/p/P01/t/mug/v/clean/private.mp4/picture"):
        assert client.ask("GET", place)[0] == 404
    assert "follows no links" in client.form("p", "P01", "teach")[2]
    client.form("p", "P01", "delete")
    client.form("delete")
    assert (tmp_path / "elsewhere/clean/private.mp4").read_bytes() == video


def test_a_folder_that_was_changed_by_hand_meanwhile_is_a_plain_line(client, video):
    client.upload(*VIDEOS, files=[("a.mp4", video)])
    shutil.rmtree(client.root / "P01/mug")
    for place in (("p", "P01", "t", "mug"), ("p", "P01", "t", "mug", "verdicts"), ("p", "P01", "t", "mug", "delete")):
        status, _, text = client.ask("GET", client.place(*place))
        assert status == 404 and "any more" in text
    assert "any more" in client.upload(*VIDEOS, files=[("a.mp4", video)])
    assert client.form("p", "P01", "t", "mug", "rename", name="cup")[0] == 404
    shutil.rmtree(client.root / "P01")
    assert client.ask("GET", "/p/P01")[0] == 404 and client.ask("GET", "/")[0] == 200


def test_names_from_the_disk_are_text_and_no_markup(client):
    name = '<img src=x onerror="alert(1)">&{{7*7}}'
    os.mkdir(client.root / "P01" / name)
    for place in (("p", "P01"), ("p", "P01", "t", name), ()):
        text = client.page(*place)
        assert "<img" not in text and "&lt;img" in text and "{{7*7}}" in text


def test_a_full_disk_is_a_plain_line_and_leaves_nothing(serve, small_disk, video):
    root = small_disk(1500) / "study"
    (root / "P01" / "mug").mkdir(parents=True)
    with serve(root) as client:
        client.let_in()
        fault = client.upload(*VIDEOS, files=[("long.mp4", b"x" * 4_000_000)])
        assert "No space left" in fault and "Make room" in fault
        assert files(root / "P01") == ["mug"]
        (sent,) = client.upload(*VIDEOS, files=[("short.mp4", video)])
        assert sent["kept"]


def test_back_leads_to_a_page_of_this_server_alone(client):
    own = f"http://127.0.0.1:{client.address.port}"
    for referer, back in ((f"{own}/p/P01", "/p/P01"), (f"{own}//evil.example/x", "/"), ("http://evil.example/x", "/")):
        assert f'class="button" href="{back}"' in client.ask("GET", "/p/nobody", Referer=referer)[2]
