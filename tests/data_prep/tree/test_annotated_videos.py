import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.tree.annotated_videos import TreeAnnotations, VideoAnnotations
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT, all_of, select_frames
from data_prep.tree.index import Index, VideoRow
from groundwork.errors import DataError, UsageError

VIDEO = "P1--bag--clean--x"
STATES = (True, False, None, "absent")  # "absent": the entry does not have the key, as in clutter videos


def written(folder, entries):
    path = folder / f"{VIDEO}.json"
    path.write_text(json.dumps({f"{VIDEO}-{number:05d}.jpg": entry for number, entry in entries.items()}))
    return path


def read(folder, *entries):
    return VideoAnnotations.read(written(folder, dict(enumerate(entries, 1))), len(entries))


def test_a_frame_is_kept_only_if_it_has_none_of_the_issues(tmp_path):
    """The published filter kept a frame if any criterion held: six of seven issues passed as 'no issues'."""
    clear = dict.fromkeys(ISSUES, False)
    six = dict.fromkeys(ISSUES, True) | {"blur_issue": False}
    found = read(tmp_path, clear, six, clear | {"blur_issue": True}, dict.fromkeys(ISSUES) | {NOT_PRESENT: True})
    assert found.frames_without(ISSUES).tolist() == [1]
    assert found.frames_without([NOT_PRESENT]).tolist() == [1, 3]
    assert found.frames_without([]).tolist() == [1, 2, 3, 4]
    with pytest.raises(UsageError, match=r"blurry.*blur_issue"):
        found.frames_without(["blurry"])


entries = st.lists(
    st.fixed_dictionaries({issue: st.sampled_from(STATES) for issue in ISSUES}).map(
        lambda states: {issue: state for issue, state in states.items() if state != "absent"}
    ),
    min_size=1,
    max_size=20,
)


@given(entries, st.sets(st.sampled_from(ISSUES)))
def test_the_arrays_and_the_entries_agree(tmp_path_factory, given_entries, issues):
    found = read(tmp_path_factory.mktemp("arrays"), *given_entries)
    names = sorted(issues)
    expected = select_frames(dict(enumerate(given_entries, 1)), all_of(*(f"no_{issue}" for issue in names)))
    assert found.frames_without(names).tolist() == expected


def test_boxes_are_not_changed(tmp_path):
    found = read(tmp_path, {BOX: None}, {BOX: {"h": 4, "w": 3, "y": 2, "x": 1.5}}, {})
    np.testing.assert_array_equal(found.boxes, [[np.nan] * 4, [1.5, 2, 3, 4], [np.nan] * 4])


def test_each_file_is_read_once(tmp_path, monkeypatch):
    rows = [VideoRow("test", "P1", "bag", "clean", f"P1--bag--clean--{name}", 2, name, "") for name in "abc"]
    index = Index(tmp_path, "frames", (*rows, VideoRow("train", "P2", "bag", "clean", "P2--bag--clean--d", 2, "d", "")))
    annotations = TreeAnnotations(index)
    for row in rows[:2]:
        path = annotations.path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({f"{row.video}-0000{number}.jpg": {} for number in (1, 2)}))
    first = annotations.of(rows[0])
    paths = []
    whole = VideoAnnotations.read
    monkeypatch.setattr(VideoAnnotations, "read", lambda path, frames: paths.append(path) or whole(path, frames))
    assert annotations.annotated() == annotations.annotated("test") == rows[:2] and annotations.annotated("train") == []
    found = annotations.read_all("test")
    assert [row for row, _ in found] == rows[:2] and found[0][1] is first
    assert annotations.read_all()[-1][1] is found[-1][1]
    assert paths == [annotations.path(rows[1])]
    with pytest.raises(DataError, match="no annotations for this video"):
        annotations.of(rows[2])


def test_a_file_of_another_length_is_rejected(tmp_path):
    with pytest.raises(DataError, match=r"00003\.jpg: frame without an entry"):
        VideoAnnotations.read(written(tmp_path, {1: {}, 2: {}}), 3)
