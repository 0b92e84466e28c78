import io
import json

import numpy as np
import pytest
from PIL import Image

from data_prep.making.pack import pack
from data_prep.making.resize import resize, resize_jpeg
from data_prep.tree.index import build_index, open_index
from data_prep.tree.layout import MANIFEST_NAME, frame_file_name
from groundwork.errors import DataError, UsageError


def picture_of(seed: int, size: tuple[int, int] = (120, 120)) -> Image.Image:
    """Smooth colors, so that resampling matters more than JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(picture: Image.Image, **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **{"quality": 95, **how})
    return file.getvalue()


@pytest.fixture
def tree(tmp_path):
    """Two users, two videos, 120-px frames, one annotated."""
    root = tmp_path / "tree"
    for user, frames in (("ann", 3), ("bob", 4)):
        video = f"{user}--my-cup--clean--x"
        folder = root / user / "my cup" / "clean" / video
        folder.mkdir(parents=True)
        for number in range(1, frames + 1):
            (folder / frame_file_name(video, number)).write_bytes(jpeg(picture_of(number)))
    (root / "annotations").mkdir()
    (root / "annotations/ann--my-cup--clean--x.json").write_text("{}")
    build_index(root)
    return root


def frame(root, user="ann", number=1):
    video = f"{user}--my-cup--clean--x"
    return root / user / "my cup" / "clean" / video / frame_file_name(video, number)


def test_frames_are_made_as_those_of_the_published_set(tree, tmp_path):
    summary = resize(tree, tmp_path / "out", size_px=56)
    assert (summary.videos, summary.frames, summary.skipped) == (2, 7, 0)
    for user, number in (("ann", 2), ("bob", 4)):
        source = Image.open(frame(tree, user, number)).convert("RGB")
        expected = jpeg(source.resize((56, 56), Image.Resampling.LANCZOS))  # FACTS: LANCZOS, JPEG quality 95
        assert frame(tmp_path / "out", user, number).read_bytes() == expected
    assert (tmp_path / "out/annotations/ann--my-cup--clean--x.json").read_text() == "{}"
    assert open_index(tmp_path / "out").fingerprint == open_index(tree).fingerprint  # the same plan
    manifest = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())
    assert manifest["made_by"]["verb"] == "resize" and manifest["made_by"]["size_px"] == 56
    assert {record["size_before_px"] for record in manifest["videos"].values()} == {120}


def test_a_packed_tree_gives_the_same_bytes(tree, tmp_path, tree_bytes):
    pack(tree, tmp_path / "packed")
    resize(tree, tmp_path / "from frames", size_px=56)
    resize(tmp_path / "packed", tmp_path / "from packed", size_px=56)
    first, second = (tree_bytes(tmp_path / name) for name in ("from frames", "from packed"))
    assert first == second


def test_an_interrupted_run_resumes(tree, tmp_path, tree_bytes):
    resize(tree, tmp_path / "out", size_px=56)
    whole = tree_bytes(tmp_path / "out")
    frame(tmp_path / "out").unlink()
    assert resize(tree, tmp_path / "out", size_px=56).skipped == 1
    assert tree_bytes(tmp_path / "out") == whole


def test_a_changed_source_is_made_again(tree, tmp_path):
    resize(tree, tmp_path / "out", size_px=56)
    frame(tree).write_bytes(jpeg(picture_of(99)))
    build_index(tree)
    resize(tree, tmp_path / "out", size_px=56)
    expected = jpeg(Image.open(frame(tree)).resize((56, 56), Image.Resampling.LANCZOS))
    assert frame(tmp_path / "out").read_bytes() == expected


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_every_picture_becomes_rgb(mode):
    before_px, content = resize_jpeg(jpeg(picture_of(1).convert(mode)), 56)
    assert before_px == 120 and Image.open(io.BytesIO(content)).mode == "RGB"


def test_metadata_is_not_copied():
    exif = Image.Exif()
    exif[0x010E] = "my kitchen"
    source = jpeg(picture_of(1), exif=exif, comment=b"my kitchen", icc_profile=b"my kitchen")
    assert source.count(b"my kitchen") == 3
    assert b"my kitchen" not in resize_jpeg(source, 56)[1]


def test_a_picture_is_rotated_as_its_metadata_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    turned = resize_jpeg(jpeg(picture_of(1), exif=exif), 120)[1]
    plain = resize_jpeg(jpeg(picture_of(1).transpose(Image.Transpose.ROTATE_270)), 120)[1]
    difference = np.abs(np.asarray(Image.open(io.BytesIO(turned)), int) - np.asarray(Image.open(io.BytesIO(plain))))
    assert difference.mean() < 3  # loss of JPEG; without rotation about 70


# --- errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(picture_of(1))[:900], "does not decode"),
        (b"no picture", "does not decode"),
        (jpeg(picture_of(1, (120, 80))), "120 x 80 px, expected a square frame"),
    ],
)
def test_a_bad_frame_fails_its_video_alone(tree, tmp_path, reported, content, message):
    frame(tree, number=2).write_bytes(content)
    build_index(tree)
    with pytest.raises(DataError, match="1 of 2 videos failed"):
        resize(tree, tmp_path / "out", size_px=56)
    (line,) = [line for line in reported() if line.startswith("failed")]
    assert message in line and "x-00002.jpg" in line
    assert [row.user for row in open_index(tmp_path / "out").rows] == ["bob"]
    assert not (tmp_path / "out/ann").exists()


def test_the_error_for_raw_videos_names_extract(small_raw, tmp_path):
    with pytest.raises(UsageError, match="prep extract --size 56"):
        resize(small_raw, tmp_path / "out", size_px=56)


def test_an_extracted_tree_is_not_overwritten(tree, tmp_path):
    resize(tree, tmp_path / "out", size_px=56)
    with pytest.raises(UsageError, match="holds another run"):
        resize(tree, tmp_path / "out", size_px=48)
