from collections import Counter

from benchmarks import episodes
from benchmarks.episodes import Workload, made_index

SMALL = Workload(images=4000, classes=80, sources=8, plans=4, tasks=6, images_of_class=12, heads=("protonets", "ridge"))


def test_every_comparison_has_its_target():
    found = episodes.run(SMALL, repeats=1)
    assert [(one.metric, one.first[1].median, one.at_most) for one in found] == [
        ("time", 60, 1),
        ("peak memory", 2000, 1),
        ("time", 60, 1),
        ("time", 60, 1),
    ]
    assert all(one.second[1].median > 0 for one in found)
    assert found[0].setting == "4 meta-dataset plans, one at a time, from an index of 4000 images"


def test_the_made_index_has_its_size():
    rows = made_index(images=4000, classes=80, sources=8).rows
    assert abs(len(rows) - 4000) < 100 and len({row.video for row in rows}) == len(rows)
    classes = Counter((row.user, row.object) for row in rows)
    assert len(classes) == 80 and max(classes.values()) > 3 * min(classes.values())
