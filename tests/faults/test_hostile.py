"""Hostile files and misbehaving machines: pictures that unpack to enormous sizes, videos that point at other
files, locations and sound that must not be passed on, little shared memory, a clock that is set back, links."""

import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from data_prep.forgetting.forget import forget_user
from data_prep.tree.index import build_index, open_index
from data_prep.video import decode_jpeg, iterate_frames, probe
from data_prep.video.photos import read_photo
from groundwork.errors import DataError, KitError
from orbit_lite.cli.parser import main
from orbit_lite.models.choice import ModelChoice
from orbit_lite.studio.study import Study
from orbit_lite.studio.teaching import Teacher
from tests.faults.killing import ROOT, environment

TINY = ("--model", "protonets", "--backbone", "tiny", "--weights", "random")

PLACE = b"+52.5219+013.4132/"
SIZE_PX = 64


def png_bomb(path: Path, side: int = 20_000) -> Path:
    """A PNG of side x side black pixels in a small file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer, content = zlib.compressobj(1), b""
    rows = bytes((1 + side) * 100)
    for _ in range(side // 100):
        content += packer.compress(rows)
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    ends = chunk(b"IDAT", content + packer.flush()) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + ends)
    return path


def jpeg_bomb(path: Path, side: int = 65_500) -> Path:
    """A small JPEG whose header claims side x side pixels."""
    Image.new("RGB", (16, 16)).save(path, "JPEG")
    content = bytearray(path.read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", side, side)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("bomb", [png_bomb, jpeg_bomb])
def test_a_picture_that_unpacks_to_an_enormous_size_is_refused_by_its_header(tmp_path, bomb):
    path = bomb(tmp_path / ("x.png" if bomb is png_bomb else "x.jpg"))
    started_s = time.monotonic()
    with pytest.raises(DataError, match="pixels, expected at most 120 million"):
        read_photo(path)
    assert time.monotonic() - started_s < 5


def test_decompression_bombs_in_trees_give_one_line_each(tmp_path, capsys):
    for thing in ("mug", "keys"):
        (tmp_path / "raw/ann" / thing).mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "raw/ann" / thing / f"{number}.png")
    png_bomb(tmp_path / "raw/ann/mug/3.png")
    jpeg_bomb(tmp_path / "raw/ann/mug/4.jpg")
    for verb in (["images"], ["extract"]):
        out = tmp_path / "out" / verb[0]
        assert main(["prep", *verb, str(tmp_path / ("raw/ann" if verb == ["images"] else "raw")), str(out)]) in (1, 2)
        errors = capsys.readouterr().err
        assert "Traceback" not in errors and "pixels, expected" in errors, errors


def test_a_frame_that_claims_a_huge_size_is_refused(tmp_path):
    for side in (65_500, 30_000, 12_000):  # OpenCV itself would accept the last two
        with pytest.raises(DataError, match=f"{side}x{side} pixels, expected at most 120 million"):
            decode_jpeg(jpeg_bomb(tmp_path / "x.jpg", side).read_bytes())


def video(path: Path, *, gray: int = 200, sound: bool = False, place: bool = False) -> Path:
    """A video of 40 uniform gray pictures that vary slightly, optionally with sound and the filming location."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(gray)
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"} if place else {}) as out:
        if place:
            text = PLACE.decode()
            out.metadata.update({"location": text, "com.apple.quicktime.location.ISO6709": text, "artist": text})
        stream = out.add_stream("libx264", rate=30)
        stream.width = stream.height = 96
        audio = out.add_stream("aac", rate=16_000) if sound else None
        for _ in range(40):
            picture = np.clip(gray + rng.integers(-30, 30, (96, 96, 3)), 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(stream.encode())
        if audio:
            for number in range(20):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 16_000, 1024 * number, Fraction(1, 16_000)
                out.mux(audio.encode(frame))
            out.mux(audio.encode())
    return path


def with_reference(content: bytes, target: bytes) -> bytes:
    """An MP4 (with its header at the end) that refers to another file for its pictures and no longer has its own."""
    data = content.index(b"mdat") - 4
    length = struct.unpack(">I", content[data : data + 4])[0]
    content = content[: data + 8] + bytes(length - 8) + content[data + length :]
    entry = content.index(b"url \x00\x00\x00\x01")
    more = b"url \x00\x00\x00\x00" + target + b"\x00"
    content = content[:entry] + more + content[entry + 8 :]
    extra = len(more) - 8
    sizes = [entry - 4]
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        sizes.append(content.rindex(name, 0, entry) - 4)
    changed = bytearray(content)
    for place in sizes:
        changed[place : place + 4] = struct.pack(">I", struct.unpack(">I", changed[place : place + 4])[0] + extra)
    return bytes(changed)


@pytest.mark.parametrize("how", ["name", "path", "address"])
def test_a_video_that_points_at_another_file_does_not_show_it(tmp_path, how):
    secret = video(tmp_path / "secret.mp4", gray=220)
    target = {"name": b"secret.mp4", "path": b"file://" + bytes(secret), "address": b"http://127.0.0.1:9/x.mp4"}[how]
    path = tmp_path / "v.mp4"
    path.write_bytes(with_reference(secret.read_bytes(), target))
    try:
        probe(path)
        shown = [picture.mean() for _, picture in iterate_frames(path, size_px=SIZE_PX)]
    except KitError:
        return
    assert all(mean < 180 for mean in shown), "the other file's pictures"


def test_no_output_contains_the_location_or_the_sound(tmp_path, capsys):
    """No output contains the location from a video's or a photo's metadata, or a video's sound."""
    raw = tmp_path / "raw/ann"
    for number, thing in enumerate(("mug", "keys")):
        for film, name in enumerate(("a", "b")):
            video(raw / thing / f"clean/{name}.mp4", gray=60 + 90 * number + film, sound=True, place=True)
    clutter = video(raw / "mug/clutter/c.mp4", gray=70, sound=True, place=True)
    assert all(PLACE in path.read_bytes() for path in raw.rglob("*.mp4"))
    pictures = tmp_path / "pictures"
    for thing in ("mug", "keys"):
        (pictures / thing).mkdir(parents=True)
        exif = Image.Exif()
        exif[0x010E] = PLACE.decode()
        exif.get_ifd(0x8825)[29] = PLACE.decode()
        noise = np.random.default_rng(len(thing)).integers(0, 255, (96, 96, 3), np.uint8)
        Image.fromarray(noise).save(pictures / thing / "a.jpg", exif=exif)
        assert PLACE in (pictures / thing / "a.jpg").read_bytes()
    out = tmp_path / "out"
    for words in (
        ["prep", "extract", tmp_path / "raw", out / "frames"],
        ["prep", "images", pictures, out / "images"],
        ["prep", "resize", out / "frames", out / "small", "--size", "64"],
        ["prep", "pack", out / "frames", out / "packed"],
        ["prep", "quality", out / "frames", "--csv", out / "quality"],
        ["personalize", *TINY, "--videos", raw, "--out", out / "p.safetensors", "--csv", out / "p.csv"],
        ["check-user", *TINY, raw, "--out", out / "check"],
        ["export", out / "p.safetensors", "--out", out / "p.onnx"],
        [
            *("evaluate", "--model", out / "p.safetensors", "--data", out / "frames", "--user", "ann"),
            *("--protocol", "own-videos", "--thumbnails", "--out", out / "run"),
        ],
        [
            *("recognize", "--model", out / "p.safetensors", clutter, "--csv", out / "r.csv"),
            *("--json", out / "r.json", "--annotated", out / "r.mp4"),
        ],
    ):
        assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    made = [path for path in out.rglob("*") if path.is_file()]
    assert len(made) > 50
    for path in made:
        content = path.read_bytes()
        assert PLACE not in content and b"13.4132" not in content, path
        if path.suffix == ".jpg":
            assert b"Exif" not in content, path
    with av.open(str(out / "r.mp4")) as annotated:
        assert [stream.type for stream in annotated.streams] == ["video"]


def test_nothing_that_the_studio_makes_of_a_participant_contains_the_location(tmp_path):
    for gray, thing in ((60, "mug"), (150, "keys")):
        for number, kind in enumerate(("clean", "clean", "clutter")):
            video(tmp_path / "P01" / thing / kind / f"{number}.mp4", gray=gray + number, sound=True, place=True)
    teacher = Teacher(ModelChoice("protonets", "tiny", "random"), workers=1)
    teacher.teach(Study.open(tmp_path), "P01", lambda line: None)
    made = [path for path in (tmp_path / "P01/results").rglob("*") if path.is_file()]
    assert {"P01.safetensors", "check.html", "report.html"} <= {path.name for path in made}
    for path in made:
        assert PLACE not in path.read_bytes() and b"13.4132" not in path.read_bytes(), path


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting over /dev/shm takes root and Linux")
def test_little_shared_memory_loses_no_task(whole, tmp_path):
    """A container's /dev/shm has 64 MB by default; this one has 1."""
    verb = [
        "evaluate",
        "--model",
        "protonets",
        "--backbone",
        "tiny",
        "--protocol",
        "orbit-2022",
        "--tasks-per-user",
        "1",
    ]
    command = [sys.executable, "-m", "orbit_lite", *verb, "--data", str(whole / "frames"), "--out"]
    mount = 'mount -t tmpfs -o size=1m tmpfs /dev/shm || exit 77; exec "$@"'
    little = ["unshare", "-m", "sh", "-c", mount, "sh", *command, str(tmp_path / "little"), "--workers", "2"]
    settings = environment(tmp_path)
    done = subprocess.run(little, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=200)
    if done.returncode in (1, 77) and "Operation not permitted" in done.stderr + "mount" * (done.returncode == 77):
        pytest.skip("no mount here")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    usual = subprocess.run([*command, str(tmp_path / "usual"), "--workers", "0"], cwd=ROOT, env=settings, timeout=200)
    assert usual.returncode == 0
    names = [tmp_path / run / "predictions.parquet" for run in ("little", "usual")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_a_clock_that_is_set_back_hides_no_change(whole, tmp_path):
    tree = Path(shutil.copytree(whole / "frames", tmp_path / "frames"))
    build_index(tree)
    tomorrow = time.time() + 86_400  # the clock was set back by a day after the index was made
    os.utime(tree / "index.csv", (tomorrow, tomorrow))
    min(tree.glob("test/*/*/*/*/*.jpg")).unlink()
    with pytest.raises(DataError, match="frames on disk"):
        open_index(tree)


def test_forgetting_names_files_with_hard_links_elsewhere(whole, tmp_path):
    tree = Path(shutil.copytree(whole / "frames", tmp_path / "frames"))
    (user,) = (tree / "test").iterdir()
    frame = min(user.glob("*/*/*/*.jpg"))
    os.link(frame, tmp_path / "kept.jpg")
    forgotten = forget_user(tree, user.name)
    assert not user.exists() and (tmp_path / "kept.jpg").exists()  # the link outside the tree stays
    assert any("hard link" in line for line in forgotten.unreachable)


def test_a_link_that_replaces_a_folder_during_removal_is_not_followed(whole, tmp_path):
    """A listed folder becomes a link to other files, between the listing and the removal and at every step of it."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
tree, others, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
(user,) = (tree / "test").iterdir()
thing = max(user.iterdir())
seen = 0
def swap(name, arguments):
    global seen
    if name in ("os.remove", "os.rmdir", "os.rename"):
        seen += 1
        if seen == at and thing.is_dir() and not thing.is_symlink():
            thing.rename(tree.parent / "aside")
            thing.symlink_to(others)
from data_prep.forgetting.forget import forget_user
sys.addaudithook(swap)
try:
    forget_user(tree, user.name)
except Exception as error:
    print(type(error).__name__, error)
"""
    for at in (1, 2, 5, 20):
        folder = tmp_path / str(at)
        tree = Path(shutil.copytree(whole / "frames", folder / "frames"))
        (user,) = (tree / "test").iterdir()
        others = Path(shutil.copytree(max(user.iterdir()), folder / "others"))
        before = sorted(path.relative_to(others) for path in others.rglob("*"))
        done = subprocess.run(
            [sys.executable, "-c", code, tree, others, str(at)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert sorted(path.relative_to(others) for path in others.rglob("*")) == before, (at, done.stdout)


@pytest.mark.long
def test_another_process_can_open_an_exported_graph(whole, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    (user,) = (whole / "raw/test").iterdir()
    personal, out = tmp_path / "p.safetensors", tmp_path / "p.onnx"
    teach = ["personalize", "--videos", str(user), "--out", str(personal), "--workers", "1"]
    assert main(teach) == 0 and main(["export", str(personal), "--out", str(out)]) == 0, capsys.readouterr().err
    code = (
        "import sys, numpy as np, onnxruntime as ort; s = ort.InferenceSession(sys.argv[1]); i = s.get_inputs()[0]; "
        "shape = [d if isinstance(d, int) else 1 for d in i.shape]; "
        "kind = np.uint8 if 'uint8' in i.type else np.float32; "
        "print([np.asarray(o).shape for o in s.run(None, {i.name: np.zeros(shape, kind)})])"
    )
    alone = Path(shutil.copy(out, tmp_path / "alone.onnx"))  # the file is self-contained
    done = subprocess.run([sys.executable, "-c", code, alone], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
