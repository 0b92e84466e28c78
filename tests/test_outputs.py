"""Every verb's every output against every input and every other output: all verbs are found by walking the parsers."""

import argparse
import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

import benchmarks.__main__
import benchmarks.gradients
import benchmarks.meta_gradients
import orbit_lite.cli.parser
from eval import __main__ as eval_main
from groundwork.options import Reads, Writes, WritesFolder, leaf_parsers, named_paths, shown_name
from groundwork.outputs import Output, hold_outputs

COMMANDS = {
    "orbit-lite": orbit_lite.cli.parser,
    "eval": eval_main,
    "benchmarks": benchmarks.__main__,
    "benchmarks.gradients": benchmarks.gradients,
    "benchmarks.meta_gradients": benchmarks.meta_gradients,
}
# Options that are no paths: what is typed in has no other meaning.
TEXTS = {
    *(
        "backbone",
        "device",
        "split",
        "user",
        "participant",
        "object",
        "overrides",
        "protocol_keys",
        "rename",
        "names",
        "video",
        "shape",
        "resample",
        "techniques",
        "clutter_from",
    ),
    "type",
}
# Where an output may be an input: a personal recognizer that learns more.
ALLOWED = {("orbit-lite personalize", "--out", "--update")}


@dataclass(frozen=True)
class Verb:
    """One verb of one command."""

    command: str
    words: tuple[str, ...]
    parser: argparse.ArgumentParser

    def __str__(self) -> str:
        return " ".join((self.command, *self.words))

    @property
    def options(self) -> list[argparse.Action]:
        return [action for action in self.parser._actions if action.nargs != 0]

    def run(self, given: dict[str, object]) -> int:
        """Call the command with these options, by destination, and what else it requires."""
        return COMMANDS[self.command].main(self.arguments(given))

    def arguments(self, given: dict[str, object]) -> list[str]:
        found: list[str] = list(self.words)
        tail: list[str] = []
        exclusive = {id(a): g for g in self.parser._mutually_exclusive_groups for a in g._group_actions}
        for action in self.options:
            group = exclusive.get(id(action))
            others = [other.dest for other in group._group_actions] if group else []
            wanted = (action.required and action.nargs != "*") or (
                group is not None and group.required and others[0] == action.dest
            )
            if action.dest not in given and (not wanted or set(others) & set(given)):
                continue
            value = given.get(action.dest, sample(action))
            values = [str(one) for one in value] if isinstance(value, list) else [str(value)]
            if action.option_strings:
                found += [action.option_strings[-1], *values]
            else:
                tail += values
        return [*found, "--", *tail] if tail else found


def sample(action: argparse.Action) -> object:
    """Something that an option takes."""
    if action.choices:
        return next(iter(action.choices))
    if isinstance(action.nargs, int):
        return ["1"] * action.nargs
    return "nothing-of-this-name" if action.type is None or isinstance(action.type, Reads) else "1"


@pytest.fixture(scope="module", autouse=True)
def _parsers_built_once() -> Iterator[None]:
    """Three thousand calls of a command would build its parser each time, which takes longer than all else here."""
    with pytest.MonkeyPatch.context() as patch:
        for module in COMMANDS.values():
            patch.setattr(module, "_parser", cache(module._parser))
        yield


def all_verbs() -> Iterator[Verb]:
    for command, module in COMMANDS.items():
        parser = module._parser()
        start = len(parser.prog.split())
        for leaf in leaf_parsers(parser):
            yield Verb(command, tuple(leaf.prog.split()[start:]), leaf)


VERBS = list(all_verbs())
WRITING = [
    (verb, action) for verb in VERBS for action in verb.options if isinstance(action.type, Writes | WritesFolder)
]


def named(verb: Verb, action: argparse.Action) -> str:
    return f"{verb} {shown_name(action)}"


def outputs_of(verb: Verb, action: argparse.Action, given: dict[str, object]) -> list[Output]:
    options = COMMANDS[verb.command]._parser().parse_args(verb.arguments(given))
    return [output for output in named_paths(verb.parser, options)[1] if output.name == shown_name(action)]


def refused(verb: Verb, given: dict[str, object], capsys) -> str:
    """The one line with which a command refuses options before its work."""
    capsys.readouterr()
    assert verb.run(given) == 2, (str(verb), verb.arguments(given), capsys.readouterr())
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1, err
    return err


def test_every_option_says_what_it_is():
    """A new one does too, or it is added to TEXTS: a path without a word could be written over."""
    for verb in VERBS:
        for action in verb.options:
            declared = isinstance(action.type, Reads | Writes | WritesFolder)
            number = callable(action.type) and not declared and action.type is not Path
            assert declared or number or action.choices or action.dest in TEXTS, named(verb, action)
        assert verb.parser.get_default("run") and verb.parser.get_default("parser") is verb.parser, str(verb)


def test_the_verbs_and_their_outputs_are_these():
    """So that the walk is seen to find them."""
    assert {named(verb, action).removeprefix("orbit-lite ") for verb, action in WRITING} >= {
        *(
            "tasks --out",
            "predict --out",
            "score --out",
            "evaluate --out",
            "train --out",
            "convert --out",
            "cost --out",
        ),
        *("compare --out", "leaderboard --out", "results --out", "personalize --out", "personalize --csv"),
        *("recognize --csv", "recognize --json", "recognize --annotated", "export --out", "check-user --out"),
        *("prep pocket OUT", "prep download OUT", "prep extract OUT", "prep resize OUT", "prep split OUT"),
        *("prep pack OUT", "prep quality --csv", "prep summarize --csv", "demo --out"),
        *("eval score --out", "benchmarks --out"),
    }


Way = Callable[[Path, Path], Path]  # makes an input of what stands at a path, or the other way round; gives the input


def same_path(output: Path, folder: Path) -> Path:
    return output


def with_dots(output: Path, folder: Path) -> Path:
    return output.parent / ".." / output.parent.name / output.name


def by_symlink(output: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(output)
    return folder / "link"


def of_a_symlink(output: Path, folder: Path) -> Path:
    target = folder / f"target{output.suffix}"
    output.rename(target)
    output.symlink_to(target)
    return target


def by_hard_link(output: Path, folder: Path) -> Path:
    os.link(output, folder / f"hard{output.suffix}")
    return folder / f"hard{output.suffix}"


def by_a_linked_folder(output: Path, folder: Path) -> Path:
    (folder / "above").symlink_to(output.parent)
    return folder / "above" / output.name


WAYS = (same_path, with_dots, by_symlink, of_a_symlink, by_a_linked_folder, by_hard_link)
READING = [pair for pair in WRITING if any(isinstance(action.type, Reads) for action in pair[0].options)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(("verb", "writing"), READING, ids=[named(*pair) for pair in READING])
def test_no_output_is_an_input(verb, writing, way, tmp_path, capsys):
    is_folder = isinstance(writing.type, WritesFolder)
    if is_folder and way is by_hard_link:
        return  # folders have none
    readings = [action for action in verb.options if isinstance(action.type, Reads)]
    for number, reading in enumerate(readings):
        place = tmp_path / f"{number}/place"
        place.mkdir(parents=True)
        value = place / "out"
        given: dict[str, object] = {writing.dest: value}
        for count, output in enumerate(outputs_of(verb, writing, given)):
            output.path.parent.mkdir(exist_ok=True)
            output.path.mkdir() if is_folder else output.path.write_text("somebody's work")
            (folder := place.parent / str(count)).mkdir()
            read = way(output.path, folder)
            if (str(verb), shown_name(writing), shown_name(reading)) in ALLOWED:
                break
            line = refused(verb, {**given, reading.dest: read}, capsys)
            assert f"{shown_name(writing)} {output.path}: the same" in line and f"{shown_name(reading)} {read};" in line
            assert is_folder or read.read_text() == "somebody's work"


FILES = [(verb, writing) for verb, writing in WRITING if isinstance(writing.type, Writes)]
FOLDERS = [(verb, writing) for verb, writing in WRITING if isinstance(writing.type, WritesFolder)]
SINGLE = [(verb, writing) for verb, writing in FILES if writing.type.example]  # others are folders for several
PAIRS = [(verb, first, second) for (verb, first), (other_verb, second) in combinations(SINGLE, 2) if verb is other_verb]


@pytest.mark.parametrize(
    ("way", "there"),
    [*((way, True) for way in WAYS), *((way, False) for way in WAYS[:3])],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.parametrize(("verb", "first", "second"), PAIRS, ids=[f"{named(*p[:2])} {p[2].dest}" for p in PAIRS])
def test_no_output_is_another_output(verb, first, second, way, there, tmp_path, capsys):
    (tmp_path / "place").mkdir()
    path = tmp_path / "place/out"
    if there:
        path.write_text("somebody's work")
    other = way(path, tmp_path)
    line = refused(verb, {first.dest: path, second.dest: other}, capsys)
    assert f"{shown_name(second)} {other}: the same file as {shown_name(first)} {path}; give each" in line
    if not there:
        line = refused(verb, {first.dest: path, second.dest: tmp_path / "place/OUT"}, capsys)  # one, on some disks
        assert "the same file as" in line


TREES = [
    (verb, writing, reading)
    for verb, writing in WRITING
    for reading in verb.options
    if isinstance(writing.type, Writes)
    and writing.type.example
    and isinstance(reading.type, Reads)
    and reading.type.protected.names
]


@pytest.mark.parametrize(("verb", "writing", "reading"), TREES, ids=[f"{named(*t[:2])} {t[2].dest}" for t in TREES])
def test_no_output_takes_the_place_of_what_is_in_an_input_folder(verb, writing, reading, tmp_path, capsys):
    tree, elsewhere, kept = tmp_path / "tree", tmp_path / "elsewhere", reading.type.protected
    (tree / "deep/er").mkdir(parents=True)
    elsewhere.mkdir()
    (tree / "linked").symlink_to(elsewhere)
    (tree / kept.names[1]).write_text("its own")
    (tmp_path / "link").symlink_to(tree / kept.names[1])
    places = [tree / name for name in kept.names]  # there or not
    places += [tree / "deep" / ".." / kept.names[0], tree / kept.names[0].upper(), tmp_path / "link"]
    places += [tree / name / "deep/a.json" for name in kept.folders]
    places += [folder / f"a{suffix}" for suffix in kept.suffixes for folder in (tree, tree / "deep/er", elsewhere)]
    for place in places:
        line = refused(verb, {writing.dest: place, reading.dest: tree}, capsys)
        assert f"{shown_name(writing)} {place}: would replace a file" in line or "the same file" in line
        assert f"{shown_name(reading)} {tree};" in line
    assert (tree / kept.names[1]).read_text() == "its own"
    for place in (tree / "mine.csv", tree / "deep/mine.csv"):  # where nothing is lost, as before
        assert verb.run({writing.dest: place, reading.dest: tree}) in (1, 2)
        assert "take the place" not in capsys.readouterr().err


def is_a_folder(place: Path) -> Path:
    (place / "out").mkdir()
    return place / "out"


def is_a_file(place: Path) -> Path:
    (place / "out").write_text("somebody's work")
    return place / "out"


def below_a_file(place: Path) -> Path:
    return is_a_file(place) / "deep/out"


def of_a_long_name(place: Path) -> Path:
    return place / ("long" * 100)


def leads_in_a_circle(place: Path) -> Path:
    (place / "out").symlink_to("out")
    return place / "out"


def is_a_socket(place: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(place):
        end.bind("out")
    return place / "out"


def is_write_protected(place: Path) -> Path:
    """For root, too, who may write whatever its permissions are: on a disk that is read-only."""
    path = is_a_file(place)
    path.chmod(0o444)
    return path


def in_a_protected_folder(place: Path) -> Path:
    place.chmod(0o555)
    return place / "new/out"


FOR_BOTH = (below_a_file, of_a_long_name, leads_in_a_circle)
PROTECTED = (is_write_protected, in_a_protected_folder)


@pytest.mark.parametrize(("verb", "writing"), WRITING, ids=[named(*pair) for pair in WRITING])
def test_what_cannot_be_written_is_said_before_the_work(verb, writing, tmp_path, capsys):
    """Inputs are not there, and not missed: nothing was begun."""
    is_file = isinstance(writing.type, Writes) and writing.type.example
    for way in (is_a_folder, *FOR_BOTH, is_a_socket) if is_file else (is_a_file, *FOR_BOTH):
        place = tmp_path / way.__name__
        place.mkdir()
        out = way(place)
        before = sorted(tmp_path.rglob("*"))
        line = refused(verb, {writing.dest: out}, capsys)
        assert line.count(f"{shown_name(writing)} {out}") and "nothing-of-this-name" not in line
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("way", PROTECTED, ids=lambda way: way.__name__)
def test_what_may_not_be_written_is_said_before_the_work(way, protected, capsys):
    with protected() as place:
        out = way(place)
    for verb, writing in WRITING if way is in_a_protected_folder else FILES:
        line = refused(verb, {writing.dest: out}, capsys)
        assert line.count(f"{shown_name(writing)} {out}") and "can be written there" in line


@pytest.fixture
def protected(tmp_path, request) -> Callable[[], contextlib.AbstractContextManager[Path]]:
    """A folder that is read-only after the block: for root, its file system is."""

    @contextlib.contextmanager
    def make() -> Iterator[Path]:
        if os.geteuid() == 0:
            disk = request.getfixturevalue("small_disk")(100)
            yield disk
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        else:
            folder = tmp_path / "protected"
            folder.mkdir()
            request.addfinalizer(lambda: folder.chmod(0o755))
            yield folder

    return make


@pytest.mark.parametrize(("verb", "writing"), FILES, ids=[named(*pair) for pair in FILES])
def test_two_commands_do_not_write_one_file_at_once(verb, writing, tmp_path, capsys):
    """Locks are of an open file, so that one process can stand in for two."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new/out")
    for output in outputs_of(verb, writing, {writing.dest: tmp_path / "new/out"})[:1]:
        with hold_outputs([output]):
            for path in [tmp_path / "new/out", *([link] if writing.type.example else [])]:
                line = refused(verb, {writing.dest: path}, capsys)
                assert "another command is writing this file" in line
    assert list(tmp_path.iterdir()) == [link]  # neither a lock nor the folder that was made for it


@pytest.mark.parametrize(("verb", "writing"), FOLDERS, ids=[named(*pair) for pair in FOLDERS])
def test_a_folder_that_is_a_link_to_nothing_is_not_taken_for_a_new_one(verb, writing, tmp_path, capsys):
    (tmp_path / "out").symlink_to("nothing")
    line = refused(verb, {writing.dest: tmp_path / "out"}, capsys)
    assert f"{tmp_path / 'out'}: a link to {tmp_path / 'nothing'}, which does not exist" in line


@pytest.mark.parametrize(("verb", "name"), [("summarize", "counts.csv"), ("quality", "quality_videos.csv")])
def test_a_file_is_none_of_those_that_a_folder_is_to_hold(verb, name, tmp_path, capsys):
    words = ["prep", verb, str(tmp_path), "--csv", str(tmp_path / "t"), "--json", str(tmp_path / "t" / name)]
    assert orbit_lite.cli.parser.main(words) == 2
    assert f"--json {tmp_path / 't' / name}: the same file as --csv" in capsys.readouterr().err
