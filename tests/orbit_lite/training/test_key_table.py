import pytest

from groundwork.errors import UsageError
from orbit_lite.cli.parser import main
from orbit_lite.config import builtin_names
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.key_table import experiment_keys


def test_every_key_has_its_value_and_source():
    found = {one.key: one for one in experiment_keys("pocket-maml", ["epochs=7", "optimizer.lr=0.1"])}
    assert (found["epochs"].value, found["epochs"].source) == (7, "command line")
    assert (found["optimizer.lr"].value, found["optimizer.lr"].source) == (0.1, "command line")
    assert found["backbone"].source == "experiment pocket"  # which it extends
    assert found["learner.head"].source == "experiment pocket-maml"
    assert found["tasks.tasks_per_user"].source == "protocol pocket-training"
    assert (found["lite.bf16"].value, found["lite.bf16"].source) == (None, "default")


@pytest.mark.parametrize("name", builtin_names("experiment"))
def test_all_keys_are_listed(name):
    content = load_experiment(name).model_dump(mode="json")
    for one in experiment_keys(name):
        place = content
        for key in one.key.split("."):
            place = place[key]
        assert place == one.value


def test_the_verb_shows_them_without_data_and_out(capsys):
    assert main(["train", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in builtin_names("experiment"))
    assert main(["train", "pocket", "seed=3", "--show"]) == 0
    assert any(line.split() == ["seed", "3", "command", "line"] for line in capsys.readouterr().out.splitlines())
    for words, said in (([], "the experiment is missing"), (["pocket"], "--data and --out: missing")):
        assert main(["train", *words]) == 2
        assert said in capsys.readouterr().err


def test_what_can_not_be_loaded_is_not_shown():
    with pytest.raises(UsageError, match="unknown key 'sed'"):
        experiment_keys("pocket", ["sed=3"])
