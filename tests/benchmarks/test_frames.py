import torch

from benchmarks import frames
from benchmarks.frames import Workload, kit_frames, make_frames, pil_frames
from data_prep.making.pack import pack
from data_prep.tree.index import open_index
from data_prep.tree.layout import frame_file_name
from orbit_lite.data.frames import open_frames
from orbit_lite.models.backbones.record import IMAGENET_MEAN, IMAGENET_STD

SMALL = Workload(frames=7, frame_size_px=96, batch=3)


def test_both_sides_of_both_comparisons():
    threads = torch.get_num_threads()
    comparisons = frames.run(SMALL, repeats=1)
    assert [(c.first[0], c.second[0]) for c in comparisons] == [("PIL, float32", "kit, uint8"), ("files", "packed")]
    for comparison in comparisons:
        assert comparison.unit == "frames/s"
        assert comparison.first[1].median > 0
        assert comparison.second[1].median > 0
        assert comparison.threads == 1
    assert torch.get_num_threads() == threads


def test_all_sides_read_the_same_pictures(tmp_path):
    place = tmp_path / "tree/user/object/clean"
    make_frames(place, SMALL)
    pack(tmp_path / "tree", tmp_path / "packed")
    kit, packed = (
        kit_frames(open_frames(open_index(tmp_path / kind), size_px=96), range(1, 8)) for kind in ("tree", "packed")
    )
    assert torch.equal(kit, packed)
    paths = [place / frames.VIDEO / frame_file_name(frames.VIDEO, number) for number in range(1, 8)]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(pil_frames(paths), (kit / 255 - mean) / std, atol=2 / 255 / 0.22, rtol=0)


def test_every_frame_is_read_in_each_pass():
    read = []
    frames._read_all(lambda numbers: read.extend(numbers), SMALL)
    assert read == [1, 2, 3, 4, 5, 6, 7]


def test_made_frames_are_as_long_as_photographs(tmp_path):
    """ORBIT's frames: 54 GB / 2,687,934 at 224 px = 20 KB."""
    make_frames(tmp_path, Workload(frames=5))
    lengths = [path.stat().st_size for path in (tmp_path / frames.VIDEO).iterdir()]
    assert 10_000 < sum(lengths) / len(lengths) < 35_000
