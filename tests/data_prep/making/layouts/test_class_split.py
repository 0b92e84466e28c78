import json

import pytest


@pytest.fixture
def split(tmp_path):
    def write(content):
        path = tmp_path / "split.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def birds(put):
    return put("001.Albatross/1.jpg", "002.Wren/1.jpg", "Grebe/horned/1.jpg", "Auk/1.jpg")


def test_each_class_is_in_its_split_and_others_are_skipped(birds, split, made, reported):
    lists = {"train": ["001.Albatross"], "valid": ["Grebe/horned"], "test": ["002.Wren"]}
    places = [*made("class-split", split(lists))]
    assert places == ["test/set/002.Wren", "train/set/001.Albatross", "validation/set/Grebe horned"]
    assert any("1 class skipped, not in split.json: Auk" in line for line in reported())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ["Auk"], "test": ["Auk"]}, ("'Auk' is in train and in test",)),
        ({"train": ["Auk", "Kiwi", "002.Wern"]}, ("names 2 classes", "002.Wern, Kiwi", "did you mean '002.Wren'?")),
        ({"trian": ["Auk"]}, ("unknown split 'trian' (did you mean 'train'?)",)),
        ({"train": [1]}, ("a class that is not text",)),
        ({"train": []}, ("names no class",)),
        ({"train": ["../Auk"]}, ("can't be a class's name",)),
        ([], ("expected {",)),
        ("{", ("not JSON",)),
        ('{"train": ["Auk"], "train": ["002.Wren"]}', ("key 'train' appears twice",)),
    ],
)
def test_a_list_that_does_not_fit(birds, split, refused, content, message):
    refused("class-split", *message, list_file=split(content))


def test_a_tree_that_has_splits_already(put, split, refused):
    put("train/a/1.jpg", "test/b/1.jpg")
    refused("class-split", "already has folders of splits", list_file=split({"train": ["a"]}), exit_code=2)
