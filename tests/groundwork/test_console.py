import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundwork.console import LONGEST_LINE, Stopped, command_streams, printable_line, say, say_text

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["two\nlines", "red\x1b[31m", "caf\udce9", "bell\x07", "turn\u202earound", "line\u2028end", "back\rspace\b"]


@pytest.mark.parametrize("name", NAMES)
def test_control_characters_in_names_are_escaped(name):
    stream = io.StringIO()
    say(f"{name}: whole", to=stream)
    say_text(f"first\n{name.replace(chr(10), '')}", to=stream)
    assert stream.getvalue().count("\n") == 3
    assert stream.getvalue().replace("\n", "").isprintable()


def test_a_long_message_keeps_its_beginning_and_its_end():
    line = printable_line("a.yaml: " + "x" * 10_000_000 + ": remove it")
    assert len(line) < LONGEST_LINE + 10
    assert line.startswith("a.yaml: xxx") and line.endswith("x: remove it")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_characters_that_the_encoding_lacks_are_escaped(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    with command_streams():
        say("コップ and caf\udce9")
    assert sys.stdout.errors == "strict"  # restored
    assert raw.getvalue().decode(encoding).strip() in (
        "\\u30b3\\u30c3\\u30d7 and caf\\udce9",
        "コップ and caf\\udce9",
    )


WORK = """
import os, sys
from groundwork.command_line import run_command
import argparse
def work():
    from groundwork.console import say
    with open(sys.argv[1], "w") as file:  # it must not become a standard stream
        print("to standard output"); print("to standard error", file=sys.stderr)
        os.write(2, b"from a library")
        file.write("whole")
sys.exit(run_command("kit", argparse.Namespace(), work))
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_the_command_works_with_closed_streams(tmp_path, closed):
    out = tmp_path / "out.txt"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" "$2" {closed}', sys.executable, WORK, out], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert out.read_text() == "whole"


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can remove a folder in use")
def test_one_line_if_the_working_folder_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.rmdir({str(gone)!r})\n{WORK}"
    done = subprocess.run(
        [sys.executable, "-c", code, "x"], cwd=gone, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kit: the working folder no longer exists; change to another one (cd) and try again\n"


@pytest.mark.skipif(os.name != "posix", reason="Unix signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_a_command_once(number):
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        cleaned = []
        with pytest.raises(Stopped) as stopped, command_streams():
            try:
                os.kill(os.getpid(), number)
                time.sleep(5)
            finally:
                os.kill(os.getpid(), number)  # a second signal during cleanup
                time.sleep(0.05)
                cleaned.append(True)
        assert cleaned
        assert stopped.value.status == 128 + number
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name != "posix", reason="Unix signals")
def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as with nohup
    try:
        with command_streams():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems, Python starts in UTF-8")
def test_every_file_can_be_named_in_an_ascii_locale(tmp_path):
    (tmp_path / "コップ").write_text("x")
    code = (
        "from groundwork.console import start_in_utf8; start_in_utf8(); import os, sys; "
        "sys.exit('コップ' not in os.listdir(sys.argv[1]))"
    )
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    path = tmp_path / "code.py"
    path.write_text(code, encoding="utf-8")
    subprocess.run([sys.executable, path, tmp_path], env=environment, check=True)
