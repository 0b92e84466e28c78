"""Checks of members, for archives that are read in place and for those that are unpacked. Tests of whole files are in
test_packed.py and test_unzip.py."""

import stat
import zipfile

import pytest

from data_prep.tree.zip_members import member_faults, name_fault, overlaps


def member(name="a/b.jpg", *, mode=0, method=zipfile.ZIP_STORED, size=5, offset=0):
    made = zipfile.ZipInfo(name)
    made.external_attr, made.compress_type = mode << 16, method
    made.file_size = made.compress_size = size
    made.header_offset = offset
    return made


@pytest.mark.parametrize("name", ["P1/my keys/a...b/-x--y.jpg", ".hidden", "a..", "folder/", "ä/ö", "test/P1/v1.0/"])
def test_unusual_but_valid_names(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("made", "fault", "fault_if_stored_alone"),
    [
        (member(), None, None),
        (member("folder/", size=0), None, None),
        (member("folder/"), "a folder with content", "a folder with content"),
        (member(mode=stat.S_IFLNK), "a link", "a link"),
        (member(mode=stat.S_IFIFO), "not a plain file", "not a plain file"),
        (member(method=zipfile.ZIP_DEFLATED), None, "compressed"),
        (member("../a.jpg"), "a path that leads elsewhere", "a path that leads elsewhere"),
    ],
)
def test_types_of_members(made, fault, fault_if_stored_alone):
    assert [found for _, found in member_faults([made])] == [fault]
    assert [found for _, found in member_faults([made], stored_alone=True)] == [fault_if_stored_alone]


def test_a_name_may_appear_only_once_in_any_unicode_form():
    faults = member_faults([member("caf\u00e9"), member("b"), member("cafe\u0301"), member("b/", size=0)])
    assert [fault for _, fault in faults] == [None, None, "a duplicate name", "a duplicate name"]


def test_members_must_not_overlap():
    first, second = member("a", offset=0), member("b", offset=36)  # 30 + 1 + 5
    assert list(overlaps([first, second], 72)) == []
    ((found, fault),) = overlaps([second, first], 71)
    assert found is second and fault == "5 bytes at 36 don't fit before 71"
    first.compress_size = 6
    assert [found for found, _ in overlaps([first, second], 72)] == [first]
    assert list(overlaps([], 0)) == []


def test_a_name_too_long_for_file_systems():
    assert name_fault(f"a/{'x' * 300}.jpg") == "a name of 304 bytes, but file systems allow 255"
    assert name_fault(f"a/{'é' * 128}") == "a name of 256 bytes, but file systems allow 255"
    assert name_fault(f"a/{'x' * 255}") is None
