"""Options with the same name mean the same in every verb, and verbs use their values as given."""

import argparse
import inspect
from collections import defaultdict
from collections.abc import Callable, Collection

import pytest

from data_prep.pocket.pocket_set import make_pocket
from data_prep.video.readers import table
from groundwork.options import leaf_parsers, shown_name
from orbit_lite.cli.options import ENGINES, READERS, processes, readers
from orbit_lite.cli.parser import _parser
from orbit_lite.data.loader import reading_workers
from orbit_lite.models import engines
from orbit_lite.personal.checking.learning_curve import DRAWS

ANY = "every verb"
# Exceptions: verbs whose option differs from other verbs' option of the same name, and the reason.
OTHER_TYPE = {
    ("--out", ANY): "each verb writes its own output",
    ("--tasks", ANY): "a file of tasks; in `tasks` and `evaluate`, which draw them, their number",
    ("--csv", ANY): "each verb writes its own tables",
    ("--json", ANY): "each verb writes the contents of its own tables",
    ("--model", "recognize"): "a personal recognizer's file, never a learner's name",
    ("--data", "forget"): "it changes the tree, which others only read",
    ("--users", "prep split"): "the published list of users; `prep pocket` takes how many to make",
    ("--split", "prep download"): "it accepts several",
    ("--predictions", "results"): "a parquet file only: it writes a results.json",
    ("FILE", "forget"): "it changes the file, which others only read",
    ("ROOT", "prep index"): "it writes index.csv into the tree, which others only read",
    ("RUN", "report"): "it writes the report into the folder, which others only read",
}
OTHER_WORDS = {
    ("--backbone", "convert"): "the backbone of a published checkpoint, which does not name it",
    ("--fps", ANY): "the rate of the output, or of the input",
    ("--json", "recognize"): "it prints sentences, not tables",
    ("--seed", ANY): "it names what is drawn",
    ("--shard", ANY): "it says how the shards are joined",
    ("--size", ANY): "any size, or one of the published ones",
    ("--tasks", ANY): "tasks that were predicted, or will be",
    ("--user", ANY): "the user whose videos are tested, or who is forgotten",
    ("--user", "forget"): "the user to remove; `prep images` takes the owner of the pictures",
    ("OUT", ANY): "it names what is made",
    ("TREE", ANY): "it lists the kinds of tree that the verb accepts",
}


def uses() -> dict[str, dict[str, argparse.Action]]:
    """The verbs that take each option, by the option's name."""
    found: dict[str, dict[str, argparse.Action]] = defaultdict(dict)
    for leaf in leaf_parsers(_parser()):
        verb = leaf.prog.removeprefix("orbit-lite ")
        for action in leaf._actions:
            found[shown_name(action)][verb] = action
    return found


USES = uses()
SEVERAL = sorted(name for name, verbs in USES.items() if len(verbs) > 1)


def kind(action: argparse.Action) -> object:
    return action.type, action.metavar, action.nargs, action.choices, type(action)


def words(action: argparse.Action) -> object:
    return (action.help or "").partition(" (default: ")[0]


def verbs_by(fact: Callable[[argparse.Action], object], name: str, exceptions: Collection[tuple[str, str]]) -> dict:
    """The verbs that take an option, grouped by one fact about it, without the exceptions."""
    found = defaultdict(list)
    for verb, action in USES[name].items():
        if not {(name, verb), (name, ANY)} & {*exceptions}:
            found[fact(action)].append(verb)
    return found


def test_the_walk_finds_shared_options():
    assert {*SEVERAL} >= {
        "--model",
        "--backbone",
        "--weights",
        "--device",
        "--workers",
        "--data",
        "--seed",
        "--protocol",
    }
    assert {*USES["--workers"]} >= {"prep pocket", "train", "personalize", "check-user"}


@pytest.mark.parametrize("name", SEVERAL)
def test_an_option_has_the_same_type_and_metavar_in_every_verb(name):
    found = verbs_by(kind, name, OTHER_TYPE)
    assert len(found) <= 1, found


@pytest.mark.parametrize("name", SEVERAL)
def test_an_option_has_the_same_help_in_every_verb(name):
    found = verbs_by(words, name, {*OTHER_TYPE, *OTHER_WORDS})
    assert len(found) <= 1, found


@pytest.mark.parametrize(("fact", "exceptions"), [(kind, OTHER_TYPE), (words, OTHER_WORDS)])
def test_every_exception_is_still_needed(fact, exceptions):
    """An exception that is no longer needed would hide the next difference."""
    for name, verb in exceptions:
        whole = verbs_by(fact, name, ())
        assert len(whole) > 1, name
        assert verb == ANY or [verb] in whole.values(), (name, verb)


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        *(("train", "--workers"), ("prep extract", "--workers"), ("personalize", "--workers")),
        *(("tasks", "--seed"), ("prep pocket", "--seed"), ("check-user", "--seed")),
    ],
)
@pytest.mark.parametrize("given", ["-1", "1.5", "two"])
def test_every_verb_refuses_a_wrong_number_in_one_line(verb, option, given, capsys):
    with pytest.raises(SystemExit) as stop:
        _parser().parse_args([*verb.split(), "a", option, given])
    assert stop.value.code == 2
    assert f"argument {option}: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "reading", "decoding"), [(None, reading_workers(), None), (0, 0, 1), (1, 1, 1), (5, 5, 5)]
)
def test_zero_workers_means_none_to_read_and_one_to_decode(given, reading, decoding):
    options = argparse.Namespace(workers=given)
    assert (readers(options), processes(options)) == (reading, decoding)


def test_the_option_lists_all_readers():
    assert tuple(table.READERS) == READERS


def test_the_option_lists_all_engines():
    assert tuple(engines.ENGINES) == ENGINES


def test_help_states_the_defaults_that_functions_have():
    defaults = {name: parameter.default for name, parameter in inspect.signature(make_pocket).parameters.items()}
    for name in ("objects", "clean_videos", "clutter_videos"):
        action = USES[f"--{name.replace('_', '-')}"]["prep pocket"]
        assert f"(default: {defaults[name]})" in action.help
    users = " ".join(map(str, defaults["users"]))
    assert f"(default: {users})" in USES["--users"]["prep pocket"].help
    assert f"(default: {DRAWS})" in USES["--draws"]["check-user"].help
