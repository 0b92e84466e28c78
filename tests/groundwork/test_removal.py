import os

import pytest

from groundwork import removal
from groundwork.removal import PathChanged, Root, identity

BY_HANDLE = [
    pytest.param(True, marks=pytest.mark.skipif(not removal._BY_HANDLE, reason="this system has no folder handles")),
    False,
]


@pytest.fixture(params=BY_HANDLE, ids=["by handle", "by path"])
def method(request, monkeypatch):
    """Both methods of removal: by handle, and by path as on Windows, which has no handles."""
    monkeypatch.setattr(removal, "_BY_HANDLE", request.param)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/file").write_text("mine")
    return tmp_path / "root"


def known(path):
    return identity(os.lstat(path))


def remove(root, place, noted):
    with root.opened(place[:-1]) as folder:
        return folder.remove(place[-1], noted)


def test_a_file_is_removed_and_a_folder_only_when_empty(method, tree):
    root = Root.of(tree)
    with root.opened(["a"]) as folder:
        assert not folder.remove_empty("b")
    assert remove(root, ("a", "b", "file"), known(tree / "a/b/file"))
    with root.opened(["a"]) as folder:
        assert folder.remove_empty("b") and not folder.remove_empty("b")
    assert list((tree / "a").iterdir()) == []


def test_a_file_that_is_already_gone_counts_as_removed(method, tree):
    noted = known(tree / "a/b/file")
    (tree / "a/b/file").unlink()
    assert remove(Root.of(tree), ("a", "b", "file"), noted)


def test_a_different_file_with_the_same_name_stays(method, tree):
    noted = known(tree / "a/b/file")
    (tree / "a/b/other").write_text("yours")
    (tree / "a/b/other").replace(tree / "a/b/file")
    assert not remove(Root.of(tree), ("a", "b", "file"), noted)
    assert (tree / "a/b/file").read_text() == "yours"


def test_a_folder_is_not_removed_as_a_file(method, tree):
    assert not remove(Root.of(tree), ("a", "b"), known(tree / "a/b"))
    assert (tree / "a/b/file").is_file()


def test_a_link_itself_is_removed(method, tree, tmp_path):
    (tmp_path / "away").mkdir()
    (tree / "a/link").symlink_to(tmp_path / "away")
    assert remove(Root.of(tree), ("a", "link"), known(tree / "a/link"))
    assert not os.path.lexists(tree / "a/link") and (tmp_path / "away").is_dir()


@pytest.mark.parametrize("place", ["", "a", "a/b"])
def test_a_folder_that_became_a_link_is_not_entered(place, method, tree, tmp_path):
    root, noted = Root.of(tree), known(tree / "a/b/file")
    (tree / place).rename(tmp_path / "away")
    (tree / place).symlink_to(tmp_path / "away")
    with pytest.raises(PathChanged):
        remove(root, ("a", "b", "file"), noted)
    assert sum(path.is_file() for path in (tmp_path / "away").rglob("*")) == 1


def test_links_on_the_path_are_found(tree, tmp_path):
    (tree / "link").symlink_to(tree / "a")
    root = Root.of(tree)
    assert root.link_on_way(["a", "b", "file"]) is None
    assert root.link_on_way(["a", "none", "file"]) is None
    assert root.link_on_way(["link", "b", "file"]) == tree / "link"
    (tmp_path / "tree").symlink_to(tree)
    assert Root.of(tmp_path / "tree") == root


def test_an_error_names_the_whole_path(method, tree, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "file")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(PermissionError) as raised:
        remove(Root.of(tree), ("a", "b", "file"), known(tree / "a/b/file"))
    assert raised.value.filename == str(tree / "a/b/file")
