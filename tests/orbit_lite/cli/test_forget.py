"""`orbit-lite forget` shows its list first, and removes nothing until the user agrees."""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection

import pytest

from data_prep.tree.index import build_index
from orbit_lite.cli.parser import main


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path):
    for user in ("ann", "bob"):
        folder = tmp_path / f"tree/test/{user}/cup/clean/{user}--cup--clean--a"
        folder.mkdir(parents=True)
        (folder / f"{folder.name}-00001.jpg").write_bytes(user.encode())
    (tmp_path / "tree/test/ann/notes.txt").write_text("mine")
    build_index(tmp_path / "tree")
    return tmp_path / "tree"


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arguments(tree, *more):
    return ["forget", "--data", str(tree), "--user", "ann", *more]


def lines(tree, word):
    return [f"{word}: {tree}/test/ann: 1 video, 1 file, 0.0 kB", f"{word}: {tree}/index.csv: 1 row"]


def test_without_a_terminal_it_lists_and_asks_for_yes(tree, capsys):
    before = content(tree)
    assert main(arguments(tree)) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        *lines(tree, "to remove"),
        f"left: {tree}/test/ann/notes.txt: not this kit's",
    ]
    assert printed.err.startswith("orbit-lite: nothing was removed: there is no terminal") and "--yes" in printed.err
    assert content(tree) == before


def test_a_dry_run_lists_and_removes_nothing(tree, capsys):
    before = content(tree)
    assert main(arguments(tree, "--dry-run")) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == lines(tree, "to remove") and printed[-1] == "nothing was removed: this was a dry run"
    assert content(tree) == before


def test_yes_lists_and_removes(tree, capsys):
    assert main(arguments(tree, "--yes")) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == lines(tree, "to remove") and printed[3:5] == lines(tree, "removed")
    assert sum(line.startswith("left: ") for line in printed) == 1
    assert sorted(path.name for path in (tree / "test/ann").rglob("*")) == ["notes.txt"]


def test_nothing_is_asked_when_nothing_is_left(tree, capsys):
    assert main(arguments(tree, "--yes")) == 0
    before = content(tree)
    capsys.readouterr()
    for more in ([], ["--yes"], ["--dry-run"]):
        assert main(arguments(tree, *more)) == 0
        printed = capsys.readouterr().out
        assert f"{tree}: nothing of user 'ann': already gone, or never here" in printed and "\nremoved: " not in printed
    assert content(tree) == before


def test_files_behind_a_link_give_exit_status_1(tree, tmp_path, capsys):
    (tree / "test").rename(tmp_path / "away")
    (tree / "test").symlink_to(tmp_path / "away")
    before = content(tmp_path / "away")
    for _ in range(2):  # as often as it is asked
        assert main(arguments(tree, "--yes")) == 1
        printed = capsys.readouterr()
        assert printed.out.count("still there: ") == 1 and "already gone" not in printed.out
        assert "not everything could be removed" in printed.err and str(tmp_path / "away") in printed.err
    assert content(tmp_path / "away") == before


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 2), ("\n", 2), ("yep\n", 2), ("\x04", 2)]
)
def test_a_terminal_is_asked(answer, status, tree):
    before = content(tree)
    printed, code = on_a_terminal(arguments(tree), answer)
    assert code == status
    assert printed.index("to remove: ") < printed.index("Remove all of this? It can't be undone. [y/N]")
    assert (content(tree) == before) == bool(status)
    assert (tree / "test/ann/cup").exists() == bool(status)
    assert ("nothing was removed" in printed) == bool(status) and ("\nremoved: " in printed) == (not status)


def on_a_terminal(arguments, answer):
    """Run a command on a terminal and type `answer` when it asks; return its output and exit status."""
    import pty

    ours, its = pty.openpty()
    with Connection(its) as terminal:
        process = multiprocessing.get_context("spawn").Process(
            target=run_there, args=(terminal, arguments, dict(os.environ))
        )
        process.start()
    shown = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # on Linux: the other end is closed
            break
        if not more:
            break
        shown += more
        if b"[y/N]" in shown and answer:
            os.write(ours, answer.encode())
            answer = ""
    os.close(ours)
    process.join()
    return shown.decode().replace("\r\n", "\n"), process.exitcode


def run_there(terminal, arguments, environment):
    """Runs in a separate process: `terminal` becomes its standard streams."""
    os.setsid()
    os.environ |= environment
    for number in range(3):
        os.dup2(terminal.fileno(), number)
    terminal.close()
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.exit(main(arguments))
