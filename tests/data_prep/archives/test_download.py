"""From a local server in place of figshare, or from local files, to a verified tree."""

import hashlib
import io
import json
import os
import re
import signal
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from data_prep.archives import unzip
from data_prep.archives.download import download
from data_prep.archives.fetch import Patience
from data_prep.archives.published import FIGSHARE_API, PUBLISHED, list_published, published_archive
from data_prep.making.verify import verify
from data_prep.tree.index import open_index
from data_prep.tree.layout import SPLITS
from data_prep.video import encode_jpeg
from groundwork.errors import DataError, UsageError

QUICK = Patience(attempts=2, pause_s=0.01, timeout_s=300)
NOWHERE = "http://127.0.0.1:9"  # the discard port: no server listens there
IDS = {(archive.split, archive.size_px): archive.file_id for archive in PUBLISHED}


def frame(seed, size_px=224):
    return encode_jpeg(np.full((size_px, size_px, 3), seed % 256, np.uint8), 95)


def split_files(split, *, videos=3, frames=2, size_px=224):
    """Names (below OUT) and contents of a small split of one user."""
    files = {}
    for number in range(videos):
        kind = "clutter" if number % 3 == 2 else "clean"
        video = f"{split}User--my-cup--{kind}--v-{number}"
        for k in range(1, frames + 1):
            files[f"{split}/{split}User/my cup/{kind}/{video}/{video}-{k:05d}.jpg"] = frame(number + k, size_px)
    return files


def zipped(files, above=""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(above + name, data)
    return content.getvalue()


class Figshare(ThreadingHTTPServer):
    """Lists files in pages and redirects downloads; `cut` ends the next answers after so many bytes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.md5s, self.cut, self.seen = {}, {}, [], []
        self.filler = 0  # unrelated entries before the list
        self.api = f"http://127.0.0.1:{self.server_port}/v2"

    def handle_error(self, *_):
        """Stays silent: the client closes the connection on answers that it rejects."""

    def entries(self):
        other = [{"id": k, "name": "x", "size": 1, "computed_md5": "", "supplied_md5": ""} for k in range(self.filler)]
        return other + [
            {
                "id": file_id,
                "name": "../../evil.zip",
                "size": len(body),
                "supplied_md5": "",
                "computed_md5": self.md5s.get(file_id, hashlib.md5(body).hexdigest()),
                "download_url": "http://example.org/not-asked",
            }
            for file_id, body in self.files.items()
        ]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, url = self.server, urlsplit(self.path)
        server.seen.append((url.path, self.headers.get("Range")))
        if url.path == "/v2/articles/14294597/files":
            size, page = (int(parse_qs(url.query)[key][0]) for key in ("page_size", "page"))
            return self.send(200, json.dumps(server.entries()[(page - 1) * size : page * size]).encode())
        if match := re.fullmatch(r"/v2/file/download/(\d+)", url.path):
            return self.send(302, b"", Location=f"http://localhost:{server.server_port}/bucket/{match[1]}")
        body = server.files[int(url.path.removeprefix("/bucket/"))]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        cut = server.cut.pop(0) if server.cut else len(body)
        about = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if asked else {}
        self.send(206 if asked else 200, body[first:][:cut], **{"Content-Length": len(body) - first, **about})

    def log_message(self, *_):
        pass

    def send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def figshare(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server = Figshare()
    for split in SPLITS:
        server.files[IDS[split, 224]] = zipped(split_files(split))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def frames_of(files):
    return {name: data for name, data in files.items() if name.endswith(".jpg")}


def get(figshare, out, *splits, **options):
    return download(out, splits=splits, api=figshare.api, patience=QUICK, **options)


def given(out, *paths, **options):
    return download(out, from_zips=paths, api=NOWHERE, patience=QUICK, **options)


# --- from the server


def test_a_split_is_downloaded_verified_and_indexed_and_its_archive_removed(figshare, tmp_path, tree_bytes):
    out = tmp_path / "out"
    summary = get(figshare, out, "test")
    assert (summary.splits, summary.videos, summary.skipped) == (("test",), 3, 0)
    assert frames_of(tree_bytes(out)) == split_files("test")
    assert verify(out) == [] and [row.frames for row in open_index(out).rows] == [2, 2, 2]
    assert sorted(p.name for p in out.iterdir()) == ["download.json", "index.csv", "test"]
    assert list(tmp_path.iterdir()) == [out]  # figshare's file name is not used as a path


def test_splits_downloaded_one_after_another_make_one_tree(figshare, tmp_path, tree_bytes):
    out = tmp_path / "out"
    get(figshare, out, "test")
    get(figshare, out, "train", "validation")
    assert frames_of(tree_bytes(out)) == split_files("train") | split_files("validation") | split_files("test")
    assert open_index(out).splits == SPLITS and len(open_index(out).rows) == 9


def test_a_complete_split_is_not_downloaded_again(figshare, tmp_path):
    get(figshare, tmp_path / "out", "test")
    figshare.seen.clear()
    summary = get(figshare, tmp_path / "out", "test")
    assert figshare.seen == [] and "not downloaded again" in summary.notes[0]


def test_a_lost_video_is_restored(figshare, tmp_path, tree_bytes):
    out = tmp_path / "out"
    get(figshare, out, "test")
    folder = out / "test/testUser/my cup/clean/testUser--my-cup--clean--v-0"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert get(figshare, out, "test").skipped == 2
    assert frames_of(tree_bytes(out)) == split_files("test")


def test_a_download_resumes_where_it_was_interrupted(figshare, tmp_path, tree_bytes):
    out = tmp_path / "out"
    figshare.cut = [1000, 0, 0]
    with pytest.raises(DataError, match=r"1000 of [0-9]+ bytes have been received and are kept"):
        get(figshare, out, "test")
    assert (out / ".downloads/test-224.zip.part").stat().st_size == 1000
    get(figshare, out, "test")
    assert figshare.seen[-1] == (f"/bucket/{IDS['test', 224]}", "bytes=1000-")
    assert frames_of(tree_bytes(out)) == split_files("test")


def test_kept_archives_are_used_again(figshare, tmp_path, tree_bytes):
    out = tmp_path / "out"
    get(figshare, out, "test", keep_archives=True)
    archive = out / ".downloads/test-224.zip"
    assert archive.read_bytes() == figshare.files[IDS["test", 224]]
    (out / "download.json").unlink()
    figshare.seen.clear()
    assert get(figshare, out, "test").skipped == 3
    assert figshare.seen == [] and not archive.parent.exists()


def test_a_wrong_checksum(figshare, tmp_path):
    figshare.md5s[IDS["test", 224]] = "0" * 32
    with pytest.raises(DataError, match=r"expected 0{32}.*removed; run the same command again"):
        get(figshare, tmp_path / "out", "test")
    assert list((tmp_path / "out").rglob("*.zip*")) == []


@pytest.mark.parametrize("md5", ["", "nonsense", "../x"])
def test_nothing_is_downloaded_without_a_checksum(figshare, tmp_path, md5):
    figshare.md5s[IDS["test", 224]] = md5
    with pytest.raises(DataError, match=r"no file 28368072 with a checksum.*--split test --size 224 --from-zip FILE"):
        get(figshare, tmp_path / "out", "test")


def test_the_error_says_what_to_do_if_figshare_is_unreachable(tmp_path):
    with pytest.raises(DataError, match=r"refused.*browser from https://doi\.org.*--from-zip FILE"):
        download(tmp_path / "out", splits=["test"], api=NOWHERE, patience=QUICK)


def test_the_list_is_read_page_by_page(figshare):
    figshare.filler = 250
    listed = list_published(figshare.api, patience=QUICK)
    assert len(listed) == 253 and listed[IDS["test", 224]].size_bytes == len(figshare.files[IDS["test", 224]])
    assert len(figshare.seen) == 3
    figshare.filler = 97  # exactly one page, so the next is empty
    assert len(list_published(figshare.api, patience=QUICK)) == 100


@pytest.mark.parametrize("entry", [[], {}, {"id": "1", "name": "x", "size": 1}, {"id": 1, "name": "x", "size": -1}])
def test_an_invalid_list_is_rejected(figshare, monkeypatch, entry):
    monkeypatch.setattr(figshare, "entries", lambda: [entry])
    with pytest.raises(DataError, match="not figshare's list of files"):
        list_published(figshare.api, patience=QUICK)


def test_a_faulty_published_archive_is_kept(figshare, tmp_path):
    files = split_files("test")
    name = max(files)
    files[name] = files[name][:-40]  # cut off before it was zipped
    figshare.files[IDS["test", 224]] = zipped(files)
    with pytest.raises(DataError, match=r"1 fault, beginning with: testUser/my cup/.*unreadable.*archive is kept"):
        get(figshare, tmp_path / "out", "test")
    assert (tmp_path / "out/.downloads/test-224.zip").is_file()
    assert not (tmp_path / "out/download.json").exists()


def test_too_little_space_is_found_before_the_download(figshare, tmp_path, monkeypatch):
    usage = unzip.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unzip.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"the archive of test and its unpacked content needs .* are free"):
        get(figshare, tmp_path / "out", "test")
    assert {path for path, _ in figshare.seen} == {"/v2/articles/14294597/files"}


def test_frames_of_two_sizes_are_not_mixed(figshare, tmp_path):
    figshare.files[IDS["train", 1080]] = zipped(split_files("train", size_px=1080))
    get(figshare, tmp_path / "out", "test")
    with pytest.raises(UsageError, match="holds frames of 224 px, asked for 1080 px"):
        get(figshare, tmp_path / "out", "train", size_px=1080)
    (tmp_path / "train.zip").write_bytes(figshare.files[IDS["train", 1080]])
    with pytest.raises(UsageError, match=r"holds 224 px, .*train\.zip holds 1080 px"):
        given(tmp_path / "out", tmp_path / "train.zip")
    assert not (tmp_path / "out/train").exists()


def test_the_unfiltered_users_become_a_separate_tree(figshare, tmp_path):
    pan = {f"other/P9/cup/clutter-pan/v/v-{k:05d}.jpg": frame(k, 1080) for k in (1, 2)}
    figshare.files[IDS["other", 1080]] = zipped(pan | split_files("other", size_px=1080))
    figshare.files[IDS["test", 1080]] = zipped(split_files("test", size_px=1080))
    get(figshare, tmp_path / "out", "other", "test", size_px=1080)
    assert len(open_index(tmp_path / "out/other").rows) == 4
    assert open_index(tmp_path / "out").splits == ("test",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ["tset"]}, "unknown split 'tset'; known: train, validation, test, other"),
        ({"splits": ["test"], "size_px": 84}, "'test' at 84 px is not published; known: train 224"),
        ({"splits": ["other"]}, "'other' at 224 px is not published"),
        ({}, "nothing to do"),
        ({"from_zips": [Path("missing.zip")]}, r"missing\.zip: no such file"),
    ],
)
def test_invalid_requests(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        download(tmp_path / "out", api=NOWHERE, **options)
    assert not (tmp_path / "out").exists()


def test_the_table_of_archives():
    """FACTS: the file ids of the published download scripts; each split and size once."""
    assert published_archive("test", 224).file_id == 28368072
    assert len(IDS) == len(PUBLISHED) == len(set(IDS.values())) == 7
    assert FIGSHARE_API.startswith("https://")


# --- from local files


@pytest.fixture
def test_zip(tmp_path):
    path = tmp_path / "download (1).zip"
    path.write_bytes(zipped(split_files("test"), above="orbit_benchmark_224/"))
    return path


def test_a_local_archive_needs_no_network_and_is_kept(test_zip, tmp_path, tree_bytes):
    before = test_zip.read_bytes()
    summary = given(tmp_path / "out", test_zip)
    assert frames_of(tree_bytes(tmp_path / "out")) == split_files("test")
    assert (summary.splits, summary.videos) == (("test",), 3)
    assert "checksum not compared" in summary.notes[0] and "refused" in summary.notes[0]
    assert test_zip.read_bytes() == before


def test_the_checksum_of_a_local_archive_is_compared_if_figshare_is_reachable(figshare, test_zip, tmp_path):
    assert "no published archive has this size" in get(figshare, tmp_path / "a", from_zips=[test_zip]).notes[0]
    figshare.files[IDS["test", 224]] = test_zip.read_bytes()
    assert "checksum matches the published one" in get(figshare, tmp_path / "b", from_zips=[test_zip]).notes[0]
    figshare.md5s[IDS["test", 224]] = "0" * 32
    with pytest.raises(DataError, match=r"md5 [0-9a-f]{32}, but 0{32} is published for this size"):
        get(figshare, tmp_path / "c", from_zips=[test_zip])
    assert list((tmp_path / "c").iterdir()) == []


def test_archives_without_a_split_folder_need_the_split(tmp_path, tree_bytes):
    (tmp_path / "a.zip").write_bytes(zipped({n.removeprefix("test/"): d for n, d in split_files("test").items()}))
    with pytest.raises(DataError, match="give it with --split"):
        given(tmp_path / "out", tmp_path / "a.zip")
    given(tmp_path / "out", tmp_path / "a.zip", splits=["test"])
    assert frames_of(tree_bytes(tmp_path / "out")) == split_files("test")


def test_several_archives_of_one_split(tmp_path, tree_bytes):
    test = list(split_files("test").items())
    parts = [dict(test[:2]), dict(test[2:]), split_files("train")]
    paths = [tmp_path / f"{number}.zip" for number in range(3)]
    for path, files in zip(paths, parts, strict=True):
        path.write_bytes(zipped(files))
    assert given(tmp_path / "out", *paths).splits == ("test", "train")
    assert frames_of(tree_bytes(tmp_path / "out")) == split_files("test") | split_files("train")
    with pytest.raises(UsageError, match=r"asked for test, validation, found test, train"):
        given(tmp_path / "new", *paths, splits=["test", "validation"])


def test_one_hostile_archive_keeps_all_from_being_unpacked(test_zip, tmp_path):
    evil = tmp_path / "evil.zip"
    evil.write_bytes(zipped(split_files("train") | {"train/../../../evil.txt": b"x"}))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"evil\.zip#.*leads elsewhere"):
        given(tmp_path / "out", test_zip, evil)
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "out"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_frame_is_found(tmp_path):
    files = split_files("test", frames=3)
    del files["test/testUser/my cup/clean/testUser--my-cup--clean--v-0/testUser--my-cup--clean--v-0-00002.jpg"]
    (tmp_path / "a.zip").write_bytes(zipped(files))
    with pytest.raises(DataError, match=r"1 fault, beginning with: .*00002\.jpg: sequence"):
        given(tmp_path / "out", tmp_path / "a.zip")


def test_other_videos_are_not_indexed_as_published(test_zip, tmp_path):
    (tmp_path / "out/test/P7/cup/clean/v").mkdir(parents=True)
    with pytest.raises(DataError, match="contains videos that the archive does not have: test/P7/cup/clean/v"):
        given(tmp_path / "out", test_zip)


def test_raw_videos_become_a_raw_tree(tmp_path, encode_video):
    path = encode_video(tmp_path / "v.mp4", pictures=6)
    (tmp_path / "a.zip").write_bytes(zipped({"test/P1/cup/clean/P1--cup--clean--v.mp4": path.read_bytes()}))
    given(tmp_path / "out", tmp_path / "a.zip")
    index = open_index(tmp_path / "out")
    assert (index.kind, [row.frames for row in index.rows]) == ("raw", [6])


# --- annotations


def annotations(split, **changes):
    """One file per video of `split_files(split)`, with one entry per frame."""
    files = {}
    for name in split_files(split):
        *_, video, frame_name = name.split("/")
        files.setdefault(video, {})[frame_name] = {"object_not_present_issue": False}
    return {f"annotations/{split}/{video}.json": json.dumps(entries | changes) for video, entries in files.items()}


def test_annotations_come_with_a_split_or_later(test_zip, tmp_path):
    path = tmp_path / "annotations.zip"
    path.write_bytes(zipped(annotations("test") | annotations("train"), above="x/"))
    summary = given(tmp_path / "out", test_zip, annotations=path)
    assert summary.annotations == 6 and path.exists()
    assert verify(tmp_path / "out") == []
    assert len(list((tmp_path / "out/annotations/train").iterdir())) == 3
    given(tmp_path / "later", test_zip)
    download(tmp_path / "later", annotations=path)
    assert verify(tmp_path / "later") == []


def test_annotations_that_do_not_fit_the_tree(test_zip, tmp_path):
    video = "testUser--my-cup--clean--v-0"
    path = tmp_path / "annotations.zip"
    path.write_bytes(zipped(annotations("test") | {f"annotations/test/{video}.json": "{}"}))
    with pytest.raises(
        DataError, match=r"annotations of 1 video don't fit the tree: .*v-0\.json: .*frame without an entry"
    ):
        given(tmp_path / "out", test_zip, annotations=path)


# --- interrupted


CODE = f"""
from pathlib import Path
from data_prep.archives.download import download
download(Path(sys.argv[1]), from_zips=[Path(sys.argv[2])], api={NOWHERE!r})
"""


@pytest.mark.parametrize("by", ["SIGKILL", "SIGINT"])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_an_interrupted_run_resumes_to_the_same_tree(tmp_path, tree_bytes, run_killed, by):
    files = split_files("test", videos=40, frames=5)
    archive, out = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(zipped(files))
    run_killed(CODE, out, archive, place=r"/testUser--my-cup--\w+--v-\d+$", count=21, by=getattr(signal, by))
    there = {path.parent for path in out.rglob("*.jpg") if not path.parent.name.startswith(".")}
    assert 20 <= len(there) < 40 and not (out / "download.json").exists()
    assert all(len(list(folder.iterdir())) == 5 for folder in there)
    if by == "SIGINT":
        assert not list(out.rglob("*.part"))
    download(out, from_zips=[archive], api=NOWHERE)
    assert frames_of(tree_bytes(out)) == files and not list(out.rglob("*.part"))
    assert len(open_index(out).rows) == 40


def test_a_run_interrupted_after_the_download_keeps_the_checksum(figshare, tmp_path, monkeypatch):
    out, body = tmp_path / "out", figshare.files[IDS["test", 224]]
    with monkeypatch.context() as patched:
        patched.setattr("data_prep.archives.download._unpack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get(figshare, out, "test")
    seen = len(figshare.seen)
    get(figshare, out, "test")
    record = json.loads((out / "download.json").read_text())["splits"]["test"]
    assert record["md5"] == hashlib.md5(body).hexdigest() and len(figshare.seen) == seen  # no further request
    assert not (out / ".downloads").exists()
