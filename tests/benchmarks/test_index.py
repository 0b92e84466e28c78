from benchmarks import index
from benchmarks.index import Workload, make_tree
from data_prep.tree import listing as tree
from data_prep.tree.index import open_index

SMALL = Workload(videos=60, frames_a_video=3)


def test_both_sides():
    (comparison,) = index.run(SMALL, repeats=1)
    assert (comparison.first[0], comparison.second[0]) == ("index.csv, checked", "listed again")
    assert comparison.setting == "60 videos, 180 frames"
    assert comparison.unit == "s"
    assert comparison.first[1].median > 0
    assert comparison.second[1].median > 0


def test_the_tree_is_one(tmp_path):
    make_tree(tmp_path / "frames", SMALL)
    made = open_index(tmp_path / "frames")
    assert made.kind == "frames"
    assert [row.frames for row in made.rows] == [3] * 60
    assert len(made.users()) == 2


def test_a_checked_index_lists_no_frames(monkeypatch):
    """Otherwise both sides would do the same work."""
    listed = []
    list_frames = tree.list_frames

    def counted(folder):
        listed.append(folder)
        return list_frames(folder)

    monkeypatch.setattr("data_prep.tree.index.list_frames", counted)
    index.run(SMALL, repeats=1)
    assert len(listed) == 3 * SMALL.videos  # built, and listed twice; open_index lists nothing
