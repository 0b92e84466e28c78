"""Which files can be opened, and the one-line errors for all others, which name the file."""

import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from PIL import Image

from data_prep.video.frames import read_frames
from data_prep.video.opening import open_video
from data_prep.video.probing import probe
from groundwork.errors import DataError

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")


def ffmpeg(*words):
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, words)], check=True)


def assert_refused(path, match):
    with pytest.raises(DataError, match=match) as caught:
        read_frames(path, size_px=32)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def put(path, old, new):
    """Replaces the first occurrence of some bytes by others of the same length."""
    content = path.read_bytes()
    assert len(old) == len(new) and old in content
    path.write_bytes(content.replace(old, new, 1))


# --- metadata


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mp4", "mov", "3gp", "mkv", "avi", "flv"])
def test_metadata_that_is_not_text_does_not_matter(encode_video, tmp_path, suffix):
    whole, path = encode_video(tmp_path / "whole.mp4", pictures=12), tmp_path / f"a.{suffix}"
    title, handler = "title=Muller at home", "handler_name=Kamera Muller"
    ffmpeg("-i", whole, "-c", "copy", "-bf", "0", "-metadata", title, "-metadata:s:v", handler, path)
    put(path, b"Muller at home", b"M\xfcller \xe9t h\xf4me")
    assert probe(path).pictures == 12
    assert len(read_frames(path, size_px=32)) > 10


# --- videos that can't be decoded


def test_an_unknown_codec_is_named(encode_video, tmp_path):
    path = encode_video(tmp_path / "a.mp4", pictures=5)
    put(path, b"\0avc1"[1:] + bytes(6), b"zzz1" + bytes(6))
    assert_refused(path, r"codec can't be decoded here \(none \(zzz1.*Convert")


@needs_ffmpeg
@pytest.mark.parametrize("scheme", ["cenc-aes-ctr"])
def test_an_encrypted_video_is_reported_as_encrypted(encode_video, tmp_path, scheme):
    whole, path = encode_video(tmp_path / "whole.mp4", pictures=12), tmp_path / "a.mp4"
    key = ["-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"]
    ffmpeg("-i", whole, "-c", "copy", "-encryption_scheme", scheme, *key, path)
    assert_refused(path, "encrypted")


@pytest.mark.parametrize("box", [b"stsd", b"stsz", b"stco", b"stts", b"mdhd", b"hdlr", b"trak", b"avcC"])
@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"A"])
def test_a_damaged_header_is_one_line(encode_video, tmp_path, box, filler):
    path = encode_video(tmp_path / "a.mp4", pictures=5)
    content = bytearray(path.read_bytes())
    start = content.index(box) + 4
    content[start : start + 24] = filler * 24
    path.write_bytes(bytes(content))
    try:
        read_frames(path, size_px=32)
    except DataError as error:
        assert "\n" not in str(error)


# --- files that are not videos


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_picture_named_like_a_video_is_reported_as_a_picture(tmp_path, image_format):
    path = tmp_path / "a.mp4"
    Image.new("RGB", (64, 48), "red").save(path, format=image_format)
    assert_refused(path, rf"(?i)is a {image_format} picture, expected a video\. Rename it to \.")


def test_an_empty_file_is_reported_as_empty(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert_refused(tmp_path / "a.mp4", "an empty file")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n", "a playlist"),
        ("ffconcat version 1.0\nfile '{other}'\n", "a concat script"),
        ("\ufeffffconcat version 1.0\nfile {other}\n", "a concat script"),
        ('<?xml version="1.0"?>\n<MPD><BaseURL>{other}</BaseURL></MPD>\n', "an XML text"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_list_of_other_files_opens_none_of_them(encode_video, tmp_path, text, kind, name):
    other = encode_video(tmp_path / "other.mp4", pictures=5)
    path = tmp_path / name
    path.write_text(text.format(other=other.name), encoding="utf-8")
    assert_refused(path, f"{kind}, expected a video")


# --- names


@pytest.mark.parametrize("name", ["12:30 cup.mp4", "http:a.mp4", "a%03d.mp4", "pipe:0.mp4", "concat:a|b.mp4", "ü.mp4"])
def test_any_file_name_works(encode_video, tmp_path, monkeypatch, name):
    path = encode_video(tmp_path / "plain.mp4", pictures=5).rename(tmp_path / name)
    assert probe(path).pictures == 5
    monkeypatch.chdir(tmp_path)
    assert len(read_frames(Path(name), size_px=32)) == 5


def test_no_name_makes_a_connection(encode_video, tmp_path, monkeypatch):
    """A folder named `http:` with a host in it is an ordinary path."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        path = Path("http:") / host / "a.mp4"
        encode_video(tmp_path / path, pictures=5)
        monkeypatch.chdir(tmp_path)
        assert probe(path).pictures == 5
        with pytest.raises(DataError), open_video(Path(f"http://{host}/b.mp4")):
            pass
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []


@needs_ffmpeg
def test_the_largest_stream_is_read(encode_video, tmp_path):
    small, large = (encode_video(tmp_path / f"{side}.mp4", size=(side, side), pictures=8) for side in (64, 128))
    path = tmp_path / "two.mkv"
    ffmpeg("-i", small, "-i", large, "-map", "0:v", "-map", "1:v", "-c", "copy", "-disposition", "0", path)
    assert probe(path).width == 128
