"""An option of one name is one option, whichever verb takes it, and what it gives is what the verb works with."""

import argparse
from collections import defaultdict
from collections.abc import Callable, Collection

import pytest

from data_prep.video.readers import table
from groundwork.options import leaf_parsers, shown_name
from orbit_lite.cli.options import ENGINES, READERS, processes, readers
from orbit_lite.cli.parser import _parser
from orbit_lite.data.loader import reading_workers
from orbit_lite.models import engines

ANY = "every verb"
# Where a verb's option differs from other verbs' option of that name, and why.
OTHER_TYPE = {
    ("--out", ANY): "each verb writes something of its own",
    ("--tasks", ANY): "a file of tasks; where they are drawn, `tasks` and `evaluate`, how many",
    ("--csv", ANY): "each verb writes tables of its own",
    ("--json", ANY): "each verb writes what its own tables hold",
    ("--model", "recognize"): "a personal recognizer's file, never a learner's name",
    ("--data", "forget"): "it changes the tree, which others only read",
    ("--users", "prep split"): "the published list of users; `prep pocket` takes how many to make",
    ("--split", "prep download"): "several may be given",
    ("--predictions", "results"): "a parquet file only: a results.json is what it writes",
    ("FILE", "forget"): "it changes the file, which others only read",
    ("ROOT", "prep index"): "it writes index.csv into the tree, which others only read",
    ("RUN", "report"): "it writes the report into the folder, which others only read",
}
OTHER_WORDS = {
    ("--backbone", "convert"): "that of a published checkpoint, which does not name it",
    ("--fps", ANY): "of what is written, or of what is read",
    ("--json", "recognize"): "it prints sentences, no tables",
    ("--seed", ANY): "what it is the seed of",
    ("--size", ANY): "any size, or one of those that were published",
    ("--tasks", ANY): "what was or is to be predicted",
    ("--user", ANY): "whose videos to ask about, or who is to be forgotten",
    ("--user", "forget"): "who is to go; `prep images` takes whose pictures they are",
    ("OUT", ANY): "what is made",
    ("TREE", ANY): "which kinds of tree a verb takes",
}


def uses() -> dict[str, dict[str, argparse.Action]]:
    """By the name of an option: the verbs that take it."""
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
    """The verbs that take an option, by one fact about it, but for the exceptions."""
    found = defaultdict(list)
    for verb, action in USES[name].items():
        if not {(name, verb), (name, ANY)} & {*exceptions}:
            found[fact(action)].append(verb)
    return found


def test_the_walk_finds_what_verbs_share():
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
def test_an_option_has_one_type_and_one_metavar_whichever_verb_takes_it(name):
    found = verbs_by(kind, name, OTHER_TYPE)
    assert len(found) <= 1, found


@pytest.mark.parametrize("name", SEVERAL)
def test_an_option_is_described_in_the_same_words(name):
    found = verbs_by(words, name, {*OTHER_TYPE, *OTHER_WORDS})
    assert len(found) <= 1, found


@pytest.mark.parametrize(("fact", "exceptions"), [(kind, OTHER_TYPE), (words, OTHER_WORDS)])
def test_every_exception_is_one(fact, exceptions):
    """One that is none any more is to go, so that the next difference is seen."""
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
def test_a_wrong_number_is_refused_in_one_line_whatever_the_verb(verb, option, given, capsys):
    with pytest.raises(SystemExit) as stop:
        _parser().parse_args([*verb.split(), "a", option, given])
    assert stop.value.code == 2
    assert f"argument {option}: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "reading", "decoding"), [(None, reading_workers(), None), (0, 0, 1), (1, 1, 1), (5, 5, 5)]
)
def test_as_few_workers_as_possible_is_none_to_read_and_one_to_decode(given, reading, decoding):
    options = argparse.Namespace(workers=given)
    assert (readers(options), processes(options)) == (reading, decoding)


def test_the_readers_that_can_be_named_are_those_there_are():
    assert tuple(table.READERS) == READERS


def test_the_engines_that_can_be_named_are_those_there_are():
    assert tuple(engines.ENGINES) == ENGINES
