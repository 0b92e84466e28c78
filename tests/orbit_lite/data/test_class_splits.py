import json

import pytest

from groundwork.errors import DataError, UsageError
from orbit_lite.data.class_splits import classes_of
from orbit_lite.episode_plan import ClassSplit

CLASSES = [f"class {place:03d}" for place in range(100)]
SPLITS = ("train", "validation", "test")


def dealt(plan, classes=CLASSES, source="birds"):
    return [classes_of(split, source, classes, plan) for split in SPLITS]


@pytest.mark.parametrize("by", ["name", "seed"])
def test_every_class_is_in_one_split_by_its_share(by):
    parts = dealt(ClassSplit(by=by))
    assert [len(part) for part in parts] == [64, 16, 20]
    assert set().union(*parts) == set(CLASSES)
    assert [len(part) for part in dealt(ClassSplit(by=by, shares=(0.5, 0)))] == [50, 0, 50]


def test_by_name_the_first_are_train_and_by_seed_they_are_drawn():
    assert dealt(ClassSplit(by="name"))[0] == set(CLASSES[:64])
    first = dealt(ClassSplit(by="seed"))
    assert first[0] != set(CLASSES[:64])
    assert first == dealt(ClassSplit(by="seed"), CLASSES[::-1])  # in any order
    assert first != dealt(ClassSplit(by="seed", seed=1))
    assert first != dealt(ClassSplit(by="seed"), source="signs")


def of_list(tmp_path, content):
    file = tmp_path / "split.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return ClassSplit(by="list", file=file)


def test_a_list_names_classes_of_every_source_or_of_one(tmp_path):
    plan = of_list(tmp_path, {"train": ["a", "birds/b"], "valid": ["c"], "test": ["signs/b", "d", "not here"]})
    assert dealt(plan, "abcd", "birds") == [{"a", "b"}, {"c"}, {"d"}]
    assert dealt(plan, "abcd", "signs") == [{"a"}, {"c"}, {"b", "d"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": ["a"], "test": ["birds/a"]}, "class 'a' of birds is in both train and test"),
        ({"trian": ["a"]}, "unknown split 'trian' .*did you mean 'train'"),
        ({"train": "a"}, "expected .*names of classes"),
        ({"train": [1]}, "a class that is not text"),
        ("[1, 2]", "expected .*names of classes"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_list_is_one_line(tmp_path, content, said):
    with pytest.raises(DataError, match=said) as error:
        dealt(of_list(tmp_path, content), "ab")
    assert "\n" not in str(error.value)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="can't be read"):
        dealt(ClassSplit(by="list", file=tmp_path / "none.json"))
