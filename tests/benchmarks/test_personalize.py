from benchmarks.personalize import Size, run


def test_both_sides_are_measured():
    time, memory = run(Size(2, 2, 60, 320, 180, "tiny"), repeats=1)
    assert time.unit == "s" and time.first[1].median > 0 and time.second[1].median > 0
    assert memory.unit == "MB" and memory.second[0] == "4 videos"
