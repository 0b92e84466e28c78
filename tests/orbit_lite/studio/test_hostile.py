"""Malicious names, forms and files, and connections that break: nothing outside is reached, and no partial files
stay."""

import os
import shutil
import socket
import time

import pytest

from orbit_lite.studio.receiving import Limits

LIMITS = Limits(file_bytes=2_000_000, form_bytes=3_000_000, files=3)
VIDEOS = ("p", "P01", "t", "mug", "videos")


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("hostile") / "study", limits=LIMITS) as client:
        yield client.let_in()


@pytest.fixture
def client(server):
    """The server of this file, with a fresh study."""
    root = server.root
    for path in (*root.glob("*"), *(path for path in root.parent.iterdir() if path != root)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (root / "P01" / "mug").mkdir(parents=True)
    (root.parent / "secret.mp4").write_bytes(b"not for anybody")
    return server


def begin_upload(client, *headers):
    """A connection that has sent an upload's header and the beginning of its file."""
    own = f"127.0.0.1:{client.address.port}"
    head = [
        f"POST {client.place(*VIDEOS)} HTTP/1.1",
        f"Host: {own}",
        f"Origin: http://{own}",
        f"Cookie: {client.cookie}",
        "Content-Type: multipart/form-data; boundary=x",
        *headers,
    ]
    line = socket.create_connection(("127.0.0.1", client.address.port), timeout=30)
    line.sendall("\r\n".join([*head, "", ""]).encode())
    return line, b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'


@pytest.fixture(scope="module")
def video(filmed) -> bytes:
    return next((sorted(filmed.iterdir())[0] / "clean").iterdir()).read_bytes()


def files(root):
    """All files and folders below, except the server's lock."""
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
        "index.csv",  # as a folder it would be in a verb's way,
        "Manifest.json",  # and with this one the study would be taken for a frame tree
        "x.",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused_beside_its_field(client, name):
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
def test_an_address_that_leaves_the_study_is_not_found(client, place):
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
def test_a_file_name_can_not_leave_its_folder(client, video, name):
    (sent,) = client.upload(*VIDEOS, files=[(name, video)])
    assert sent["kept"], sent
    (path,) = client.root.rglob("*.mp4")
    assert path.parent == client.root / "P01/mug/clean" and not path.name.startswith((".", "-"))
    assert path.name == sent["name"] and len(path.name.encode()) < 100


def test_two_files_with_one_name_are_both_kept(client, video):
    names = [one["name"] for one in client.upload(*VIDEOS, files=[("A.mp4", video), ("a.MP4", video)])]
    assert names == ["A.mp4", "a-2.mp4"]


@pytest.mark.parametrize(("name", "content", "why"), [
    ("page.html", b"<script>alert(1)</script>", "not a video or photo"),
    ("film.mp4", b"<script>alert(1)</script>", "film.mp4"),
    ("film.mp4", b"", "film.mp4"),
    ("photo.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 300, "photo.jpg"),
    ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1/x\nfile:///etc/passwd\n", "playlist"),
])  # fmt: skip
def test_files_that_are_not_videos_are_refused_with_a_reason(client, video, name, content, why):
    sent = client.upload(*VIDEOS, files=[(name, content), ("good.mp4", video)])
    assert [one["kept"] for one in sent] == [False, True]
    assert why in sent[0]["line"] and ".incoming" not in sent[0]["line"] and "<" not in sent[0]["line"]
    assert files(client.root / "P01") == ["mug", "mug/clean", "mug/clean/good.mp4"]


def test_a_truncated_video_is_not_kept(client, video):
    (sent,) = client.upload(*VIDEOS, files=[("film.mp4", video[: len(video) // 2])])
    assert not sent["kept"] and files(client.root / "P01") == ["mug"]


def test_a_form_beyond_a_limit_is_refused_and_leaves_nothing(client, video):
    assert "the limit for one file" in client.upload(*VIDEOS, files=[("long.mp4", b"x" * 2_500_000)])
    assert "at once" in client.upload(*VIDEOS, files=[(f"{n}.mp4", b"x" * 1_500_000) for n in range(3)])
    assert "at most 3 files at once" in client.upload(*VIDEOS, files=[(f"{n}.mp4", video) for n in range(4)])
    assert files(client.root / "P01") == ["mug"]


def test_five_gigabytes_are_refused_before_they_are_sent(client):
    kind = "multipart/form-data; boundary=x"
    started = time.monotonic()
    status, headers, text = client.ask(
        "POST", client.place(*VIDEOS), b"--x\r\n", Content_Type=kind, Content_Length=5 << 30
    )
    assert status == 413 and headers["connection"] == "close" and "at once" in text
    assert time.monotonic() - started < 30 and files(client.root / "P01") == ["mug"]


def test_five_gigabytes_without_a_length_are_cut_off_at_the_limit(client):
    """In chunks, without a stated length."""
    chunk = b"%x\r\n" % 65536 + b"\0" * 65536 + b"\r\n"
    sent = 0
    line, begin = begin_upload(client, "Transfer-Encoding: chunked")
    with line:
        line.sendall(b"%x\r\n" % len(begin) + begin + b"\r\n")
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
def test_an_invalid_form_gives_one_plain_line(client, body):
    status, _, text = client.ask("POST", client.place(*VIDEOS), body, Content_Type="multipart/form-data; boundary=x")
    assert status in (400, 413) and 'role="alert"' in text and "Traceback" not in text
    assert client.ask("POST", client.place(*VIDEOS), body, Content_Type="text/plain")[0] == 400
    assert files(client.root / "P01") == ["mug"]


def test_a_connection_that_breaks_during_an_upload_leaves_nothing(client, video):
    line, begin = begin_upload(client, f"Content-Length: {len(video) + 1000}")
    with line:
        line.sendall(begin + video[:4000])
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
    assert "does not follow links" in client.form("p", "P01", "teach")[2]
    client.form("p", "P01", "delete")
    client.form("delete")
    assert (tmp_path / "elsewhere/clean/private.mp4").read_bytes() == video


@pytest.fixture
def taught(client, taught_study):
    """The server, whose P01 is taught, and its results."""
    shutil.rmtree(client.root / "P01")
    shutil.copytree(taught_study / "P01", client.root / "P01")
    return client


@pytest.mark.parametrize(
    "link", ["mug/clean", ".incoming", "results", "results/answers", "results/check", "results/P01.safetensors"]
)
def test_nothing_is_written_or_read_through_a_link(taught, video, tmp_path, link):
    """A study made by somebody else, with a link in a participant's folder."""
    client, place = taught, taught.root / "P01" / link
    outside = tmp_path / "outside"
    if place.exists():
        place.rename(outside)
    else:
        place.parent.mkdir(exist_ok=True)
        outside.mkdir()
    place.symlink_to(outside)
    (client.root / "P01/mug").mkdir(exist_ok=True)

    def stand():
        inside = sorted(outside.rglob("*")) if outside.is_dir() else [outside]
        return {path: path.stat().st_mtime_ns for path in [outside, *inside]}

    before = stand()
    client.upload(*VIDEOS, files=[("a.mp4", video)])
    client.upload("p", "P01", "try", files=[("a.mp4", video)])
    for whose, act, fields in (("P01", "teach", {}), ("P01", "rename", {"name": "P02"})):
        client.form("p", whose, act, **fields)
        for name in ("P01", "P02"):
            while (found := client.studio.jobs.of(name)) and found.at_work:
                time.sleep(0.02)
    for whose in ("P01", "P02"):
        client.form("p", whose, "t", "mug", "delete")
        client.form("p", whose, "delete")
    assert stand() == before


def test_a_link_among_the_results_is_named(taught, tmp_path):
    client, results = taught, taught.root / "P01/results"
    results.rename(tmp_path / "results")
    results.symlink_to(tmp_path / "results")
    assert "of the frames" not in client.page("p", "P01")
    for place in (("p", "P01", "try"), ("p", "P01", "report", "check", "")):
        status, _, text = client.ask("GET", client.place(*place))
        assert status == 400 and ("does not follow links" in text or "does not exist yet" in text)
    assert "P01/results is a link" in client.upload("p", "P01", "try", files=[("a.mp4", b"x")])[0]["said"]


def test_damaged_results_block_neither_pages_nor_deletion(taught):
    client, results = taught, taught.root / "P01/results"
    (results / "P01.safetensors").write_bytes(b"damaged" * 100)
    (results / "check/check.html").write_bytes(b"\xff\xfe")
    (results / "answers/folder.json").mkdir(parents=True)
    (results / "answers/x.json").write_bytes(b"\xff")
    assert client.ask("GET", "/p/P01/report/check/")[0] == 200
    status, _, text = client.ask("GET", "/p/P01/try")
    assert status == 400 and "Teach again" in text and str(client.root) + "/P01/results" not in text
    thing = sorted(path.name for path in (client.root / "P01").iterdir() if path.name != "results")[0]
    assert "the recognizer" in client.page("p", "P01", "t", thing, "delete")
    assert client.form("p", "P01", "t", thing, "delete")[0] == 200
    assert not (client.root / "P01" / thing).exists() and not (results / "P01.safetensors").exists()


def test_a_removed_study_is_reported(client):
    shutil.rmtree(client.root)
    for status, _, text in (client.ask("GET", "/"), client.form("participants", name="P02"), client.form("delete")):
        assert status == 404 and "folder is missing" in text
    client.root.mkdir()
    assert client.ask("GET", "/")[0] == 200


def test_two_tabs_that_add_one_name_at_once_add_it_once(client):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as tabs:
        found = sorted(tabs.map(lambda _: client.form("participants", name="P07")[0], range(8)))
    assert found == [303] + [422] * 7


def test_a_folder_changed_by_hand_meanwhile_gives_a_plain_line(client, video):
    client.upload(*VIDEOS, files=[("a.mp4", video)])
    shutil.rmtree(client.root / "P01/mug")
    for place in (("p", "P01", "t", "mug"), ("p", "P01", "t", "mug", "verdicts"), ("p", "P01", "t", "mug", "delete")):
        status, _, text = client.ask("GET", client.place(*place))
        assert status == 404 and "no longer" in text
    assert "no longer" in client.upload(*VIDEOS, files=[("a.mp4", video)])
    assert client.form("p", "P01", "t", "mug", "rename", name="cup")[0] == 404
    shutil.rmtree(client.root / "P01")
    assert client.ask("GET", "/p/P01")[0] == 404 and client.ask("GET", "/")[0] == 200


def test_names_from_the_disk_are_shown_as_text(client):
    name = '<img src=x onerror="alert(1)">&{{7*7}}'
    os.mkdir(client.root / "P01" / name)
    for place in (("p", "P01"), ("p", "P01", "t", name), ()):
        text = client.page(*place)
        assert "<img" not in text and "&lt;img" in text and "{{7*7}}" in text


def test_a_full_disk_gives_a_plain_line_and_leaves_nothing(serve, small_disk, video):
    root = small_disk(1500) / "study"
    (root / "P01" / "mug").mkdir(parents=True)
    with serve(root) as client:
        client.let_in()
        fault = client.upload(*VIDEOS, files=[("long.mp4", b"x" * 4_000_000)])
        assert "No space left" in fault and "Make room" in fault
        assert files(root / "P01") == ["mug"]
        (sent,) = client.upload(*VIDEOS, files=[("short.mp4", video)])
        assert sent["kept"]


def test_the_link_back_leads_only_to_this_server(client):
    own = f"http://127.0.0.1:{client.address.port}"
    for referer, back in ((f"{own}/p/P01", "/p/P01"), (f"{own}//evil.example/x", "/"), ("http://evil.example/x", "/")):
        assert f'class="button" href="{back}"' in client.ask("GET", "/p/nobody", Referer=referer)[2]
