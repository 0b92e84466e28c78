import pytest

from data_prep.making.layouts.entries import class_name
from groundwork.errors import DataError

from .conftest import close, pixels


@pytest.fixture
def listing(tmp_path):
    def write(text):
        path = tmp_path / "list.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_splits_and_classes_are_those_of_the_list(put, listing, made):
    put("a/1.jpg", "a/2.png", "b/c.webp", "not listed.jpg")
    found = made("csv", listing("split,class,path\nval,cat,a/1.jpg\ntest,big/cat,a/2.png\ntrain,cat,b/c.webp\n"))
    assert [*found] == ["test/set/big cat", "train/set/cat", "validation/set/cat"]
    assert close(found["validation/set/cat"][0], pixels(0)) and close(found["test/set/big cat"][0], pixels(1))


def test_a_list_may_have_no_splits(put, listing, made):
    put("1.jpg", "2.jpg")
    assert [*made("csv", listing("path,class\n1.jpg,x\n2.jpg,y\n"), user="mine")] == ["mine/x", "mine/y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ("line 1", "expected a first line path,class")),
        ("path,label\n1.jpg,x\n", ("line 1 is 'path,label'",)),
        ("path,class\n1.jpg,x,y\n", ("line 2: 3 cells, line 1 has 2",)),
        ("path,class\n", ("no pictures are named",)),
        ("path,class\n1.jpg,\n", ("line 2: '' can't be a class's name",)),
        ("path,class\n1.jpg,../x\n", ("'../x' can't be a class's name",)),
        ("path,class\n1.jpg,clutter\n", ("'clutter' can't be a class's name",)),
        ("path,class,split\n1.jpg,x,tset\n", ("line 2: unknown split 'tset' (did you mean 'test'?)",)),
        ("path,class,split\n1.jpg,x,train\n2.jpg,x,\n", ("2.jpg is in no split, but others are",)),
        ("path,class\n1.jpg,x\n1.jpg,y\n", ("1.jpg is named twice, as x and as y",)),
        ("path,class\n1.jpg,x\n3.jpg,x\n4.jpg,x\n", ("names 2 files", "'3.jpg', '4.jpg'", "Get the missing files")),
        ("path,class\n../1.jpg,x\n", ("not a path below SRC: '../1.jpg'",)),
        ("path,class\n/etc/1.jpg,x\n", ("not a path below SRC",)),
        ("path,class\n1.txt,x\n", ("not a picture by its suffix: '1.txt'",)),
        ("path,class\nout.jpg,x\n", ("a link that leads out of SRC: 'out.jpg'",)),
        ("path,class\nfolder/1.jpg,x\n", ("a link that leads out of SRC: 'folder/1.jpg'",)),
        (b"path,class\n1.jpg,\xff\n", ("not CSV in UTF-8",)),
        ('path,class\n"1.jpg,x\n', ("not CSV",)),
        (f"path,class\n1.jpg,{'x' * 300}\n", ("can't be a class's name",)),
    ],
)
def test_a_wrong_list_is_one_line(put, source, tmp_path, listing, refused, text, message):
    put("1.jpg", "2.jpg", "../elsewhere/1.jpg")
    (source / "out.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (source / "folder").symlink_to(tmp_path / "elsewhere")
    refused("csv", *message, list_file=listing(text))


def test_a_link_within_src_is_followed(put, source, listing, made):
    put("a/1.jpg")
    (source / "b").symlink_to(source / "a")
    assert [*made("csv", listing("path,class\nb/1.jpg,x\n"))] == ["set/x"]


def test_a_missing_list(put, tmp_path, refused):
    put("1.jpg")
    refused("csv", "can't be read", list_file=tmp_path / "no.csv", exit_code=2)
    refused("csv", "needs --list-file", exit_code=2)


@pytest.mark.parametrize("text", ["a\\b", "a\nb", ".hidden", "a/.b", "\ud800", " ", "/"])
def test_invalid_class_names(text):
    with pytest.raises(DataError, match="can't be a class's name"):
        class_name("here", text)


def test_slashes_in_names_become_spaces():
    assert class_name("here", "/n/house sparrow/") == "n house sparrow"
