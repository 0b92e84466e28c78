"""docs/protocols.md: its table lists the existing protocols with their numbers."""

import re
from pathlib import Path

from orbit_lite.config import TaskPlan, builtin_names, load_protocol

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def rows() -> dict[str, list[str]]:
    """The first table, as a map from its first column to the others."""
    table = re.search(r"^\| \| `orbit.*?\n\n", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert table
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].strip().splitlines()]
    return {first: rest for first, *rest in cells}


def test_every_protocol_has_its_column_and_its_numbers():
    table = rows()
    names = [name.strip("`") for name in table[""]]
    of_videos = [name for name in builtin_names("protocol") if isinstance(load_protocol(name), TaskPlan)]
    assert sorted(names) == [name for name in of_videos if not name.endswith("-training")]
    for place, name in enumerate(names):
        plan = load_protocol(name)
        column = {first: rest[place] for first, rest in table.items()}
        assert column["tasks per user"] == str(plan.tasks_per_user)
        assert ("out" in column["fewer than 50 valid query frames"]) == (plan.query.min_frames == 50)
        assert ("copies" in column["a last clip of fewer than 8 frames"]) == plan.support.frames.fill_last_clip
        assert plan.support.min_frames == 1
        assert (column["metrics"] == "all three") == plan.every_query_frame
        assert (column["a frame is predicted from"] == "itself") == (plan.clip_length == 1)
        assert plan.support.without == ()  # by ORBIT's rules, no annotations may be used to personalize


def test_every_training_protocol_is_explained():
    text = PAGE.read_text()
    for name in builtin_names("protocol"):
        assert f"`{name}`" in text


def test_caps_are_those_of_the_table():
    text = PAGE.read_text()
    plan = load_protocol("orbit-2022")
    caps = re.findall(r"^\| ([\d,]+) (frames|clips|videos|objects) per ", text, re.MULTILINE)
    found = {what: int(number.replace(",", "")) for number, what in caps}
    assert found == {
        "frames": plan.first_frames,
        "clips": plan.query.frames.at_most,
        "videos": plan.max_videos,
        "objects": plan.max_objects,
    }
