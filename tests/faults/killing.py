"""A harness that kills commands: at each call that changes a file, or at a random moment; the command, one of its
workers, or all of its processes at once. Then the same command is run again, and must end where it would have ended.

As a program, `python tests/faults/killing.py FOLDER SIGNAL COUNT VERB …` runs a verb and sends the signal to itself
right before its COUNT-th change of a file below FOLDER; with COUNT 0 it prints how many changes there are.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Audit events of Python's own calls that change what is on the disk, and where in their arguments the paths stand.
CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.utime": (0,),
    "os.chmod": (0,),
    "shutil.rmtree": (0,),
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LONGEST_S = 300.0
TEMPORARY = (".part", ".lock", "~lock.part")


@dataclass(frozen=True)
class Scenario:
    """A command and what it is to leave alone and to make.

    Attributes:
        verb: the words of the command, run in a folder that is prepared afresh.
        kept: files or folders that no kill may change.
        made: what the command makes; compared by name and bytes, but for files that hold times (`timed`).
        heavy: whether it loads torch, which takes seconds.
        timed: ends of names of files whose content differs from run to run.
    """

    verb: tuple[str, ...]
    kept: tuple[str, ...]
    made: tuple[str, ...]
    heavy: bool = False
    timed: tuple[str, ...] = field(default=())


def content(folder: Path, names: tuple[str, ...], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Relative place to hash of every file below some files and folders; "" for files that end in `but`."""
    found = {}
    for name in names:
        path = folder / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                place = file.relative_to(folder).as_posix()
                found[place] = "" if place.endswith(but or ("\0",)) else hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def left_over(folder: Path) -> list[str]:
    """Parts and locks below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.endswith(TEMPORARY))


def run(folder: Path, scenario: Scenario, *, number: int = 0, by: int = signal.SIGKILL) -> subprocess.CompletedProcess:
    """Run a scenario's verb in a folder, killed before its `number`-th change, or whole (0)."""
    return subprocess.run(
        [sys.executable, __file__, str(folder), str(int(by)), str(number), *scenario.verb],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )


def run_and_kill(folder: Path, scenario: Scenario, *, after_s: float, whom: str, by: int, rng: random.Random) -> int:
    """Start a verb and kill `whom` (parent, worker, group) after some time; the exit status of the command.

    Whatever happens, it has to end by itself.
    """
    command = [sys.executable, "-m", "orbit_lite", *scenario.verb]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    try:
        process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        workers = [pid for pid in in_session(process.pid) if pid != process.pid]
        if whom == "group":
            os.killpg(process.pid, by)
        elif whom == "parent":
            process.send_signal(by)
        elif workers:
            kill_one(rng.choice(workers), by)
    try:
        return process.wait(timeout=LONGEST_S)
    finally:
        until = time.monotonic() + 30
        while (rest := in_session(process.pid)) and time.monotonic() < until:
            time.sleep(0.02)
        for pid in rest:
            kill_one(pid, signal.SIGKILL)
        assert not rest, f"{scenario.verb}: processes that outlive the command: {rest}"


def in_session(session: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = entry.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its_session) == session and state not in "ZX":
            found.append(int(entry.parent.name))
    return sorted(found)


def kill_one(pid: int, by: int) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, by)
    except ProcessLookupError:
        return


def environment(folder: Path) -> dict[str, str]:
    """Of a command: nothing of it is written outside of the folder."""
    own = {"XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # nobody is asked for published checksums
    return os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def watch(folder: str, number: int, by: int) -> list[int]:
    """Send `by` to this process right before its `number`-th change of a file below `folder`; the list holds how many
    there were."""
    me, count = os.getpid(), [0]

    def hook(name: str, arguments: tuple) -> None:
        if name == "open" and isinstance(arguments[0], str) and arguments[2] & WRITES:
            paths = [arguments[0]]
        elif name in CHANGES:
            paths = [arguments[place] for place in CHANGES[name]]
        else:
            return
        # relative ones go by the open folder; what is written elsewhere, such as to /dev/null, is no change of ours
        ours = [str(path) for path in paths if not str(path).startswith("/") or str(path).startswith(folder)]
        if ours and os.getpid() == me:
            count[0] += 1
            if count[0] == number:
                os.kill(me, by)

    sys.addaudithook(hook)
    return count


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from orbit_lite.cli.parser import main

    changes = watch(sys.argv[1], int(sys.argv[3]), int(sys.argv[2]))
    status = main(sys.argv[4:])
    print(f"changes: {changes[0]}", file=sys.stderr)
    sys.exit(status)
