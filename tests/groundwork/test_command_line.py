import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.command_line import BRITISH, CommandParser, exit_status, run_command
from groundwork.errors import DataError, UsageError
from groundwork.reporting import Verbosity

ROOT = Path(__file__).resolve().parents[2]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="kit")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    teach = verbs.add_parser("personalize", help="teach")
    teach.add_argument("words", nargs="*")
    teach.add_argument("--model", required=True)
    inner = verbs.add_parser("prep", help="prepare").add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in ("resize", "summarize"):
        inner.add_parser(name, help=name)
    return parser


def error_line(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        make_parser().parse_args(words)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["personlize"], "kit: no command 'personlize' (did you mean 'personalize'?)"),
        (["prep", "sumarize"], "kit prep: no command 'sumarize' (did you mean 'summarize'?)"),
        (["xyzzy"], "kit: no command 'xyzzy'; choose from personalize, prep"),
        (["personalize", "--modle", "x"], "kit personalize: no option '--modle' (did you mean '--model'?)"),
        (["personalize", "--modle=x"], "kit personalize: no option '--modle' (did you mean '--model'?)"),
        (["personalize", "--xyzzy"], "kit personalize: no option '--xyzzy'; 'kit personalize --help' lists them"),
        (["--quite", "prep", "resize"], "kit: no option '--quite' (did you mean '--quiet'?)"),
        (["prep", "--quite", "resize"], "kit prep: no option '--quite' (did you mean '--quiet'?)"),
        (["personalize", "--mod", "x"], "kit personalize: no option '--mod' (did you mean '--model'?)"),
    ],
)
def test_an_unknown_verb_or_option_is_one_line_that_names_the_nearest(capsys, words, line):
    assert error_line(capsys, *words) == line


def test_a_value_that_looks_like_an_option_is_left_to_argparse():
    options = make_parser().parse_args(["personalize", "--model", "-1", "key=--x", "--", "--no-option"])
    assert (options.model, options.words) == ("-1", ["key=--x", "--no-option"])


@pytest.mark.parametrize("words", [["personalise", "--model", "x"], ["prep", "summarise"]])
def test_british_spelling_is_accepted(words):
    make_parser().parse_args(words)


@pytest.mark.parametrize("words", [[], ["prep"]])
def test_british_spelling_is_not_shown_in_help(capsys, words):
    with pytest.raises(SystemExit):
        make_parser().parse_args([*words, "--help"])
    assert not [name for name in BRITISH.values() if name in capsys.readouterr().out]


@pytest.mark.parametrize("flag", ["-q", "--quiet", "-v", "--verbose"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_verbosity_options_may_stand_anywhere(flag, place):
    words = ["prep", "resize"]
    words.insert(place, flag)
    expected = Verbosity.QUIET if flag in ("-q", "--quiet") else Verbosity.VERBOSE
    assert make_parser().parse_args(words).verbosity is expected


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DataError("a.mp4: cut off"), 1, "kit: a.mp4: cut off"),
        (UsageError("--out is missing"), 2, "kit: --out is missing"),
        (KeyboardInterrupt(), 130, "kit: stopped; nothing was written in part"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 1, "kit: Permission denied: a.csv"),
    ],
)
def test_an_error_gives_one_line_and_an_exit_status(capsys, error, status, line):
    def work():
        raise error

    assert exit_status("kit", work) == status
    assert capsys.readouterr().err == f"{line}\n"
    for verbosity in (Verbosity.NORMAL, Verbosity.QUIET):
        assert run_command("kit", argparse.Namespace(verbosity=verbosity), work) == status
        assert capsys.readouterr().err == f"{line}\n"


def test_verbose_shows_the_traceback(capsys):
    def work():
        try:
            int("x")
        except ValueError:
            raise DataError("a.csv: not a number") from None

    assert run_command("kit", argparse.Namespace(verbosity=Verbosity.VERBOSE), work) == 1
    shown = capsys.readouterr().err
    assert "ValueError: invalid literal" in shown  # without -v, `from None` hides it
    assert shown.endswith("\nkit: a.csv: not a number\n")


def test_success_is_silent(capsys):
    assert exit_status("kit", lambda: None) == 0
    assert capsys.readouterr().err == ""


def test_a_bug_in_the_kit_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_status("kit", lambda: 1 / 0)


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently on Windows")
@pytest.mark.parametrize("flush", [True, False])
def test_one_line_if_the_reader_of_standard_output_ends(flush):
    code = (
        "import sys\nfrom groundwork.command_line import exit_status\n"
        "def work():\n"
        "    print('mug', flush=True)\n"
        "    sys.stdin.readline()\n"
        f"    print('mug', flush={flush})\n"
        "sys.exit(exit_status('kit', work))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout.readline() == "mug\n"
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.flush()
        error = process.stderr.read()
    assert process.returncode == 1
    assert error == "kit: the program that reads standard output has ended\n"
