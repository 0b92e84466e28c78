"""A harness that kills commands: at each call that changes a file, or at a random moment; the command, one of its
workers, or all of its processes at once. Then the same command is run again, and must end where it would have ended.

As a program, `python tests/faults/killing.py` loads what the commands need and then starts one for each line it reads,
as a copy of itself: most of a command's seconds go into loading torch, where it has changed nothing yet.
"""

import atexit
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
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
LOADED = (  # of these, none starts a thread that a command needs
    *("numpy", "torch", "torchvision", "cv2", "av", "pyarrow.parquet", "scipy.stats", "matplotlib.figure"),
    *("orbit_lite.cli.parser", "data_prep.making.extract", "orbit_lite.evaluation.evaluate"),
)
TEMPORARY = (".part", ".lock", "~lock.part")


@dataclass(frozen=True)
class Scenario:
    """A command and what it is to leave alone and to make.

    Attributes:
        verb: the words of the command, run in a folder that is prepared afresh.
        kept: files or folders that no kill may change.
        made: what the command makes; compared by name and bytes.
        heavy: whether it loads torch, which takes seconds.
        differs: files whose bytes differ from run to run.
    """

    verb: tuple[str, ...]
    kept: tuple[str, ...]
    made: tuple[str, ...]
    heavy: bool = False
    differs: tuple[str, ...] = ()


def content(folder: Path, names: tuple[str, ...], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Relative place to hash of every file below some files and folders; for files that end in `but`, what can be
    compared of them: how many frames a video has, and nothing of others."""
    found = {}
    for name in names:
        path = folder / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                place = file.relative_to(folder).as_posix()
                if not place.endswith(but or ("\0",)):
                    found[place] = hashlib.sha256(file.read_bytes()).hexdigest()
                else:
                    found[place] = f"{frames_in(file)} frames" if file.suffix == ".mp4" else ""
    return found


def frames_in(video: Path) -> int:
    """How many frames a video has; it can be decoded to its end."""
    import av

    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def left_over(folder: Path) -> list[str]:
    """Parts and locks below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.endswith(TEMPORARY))


@dataclass(frozen=True)
class Done:
    """How a command ended.

    Attributes:
        returncode: its exit status, below 0 for a signal.
        stderr: what it has said there.
        took_s: from its start to its end.
    """

    returncode: int
    stderr: str
    took_s: float


class Starter:
    """A process that has loaded the libraries, and starts commands as copies of itself, one after another."""

    def __init__(self) -> None:
        self.caches = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # OpenBLAS starts its threads when it is loaded, and a copy would lack them
            env=environment(Path(self.caches.name)) | {"OPENBLAS_NUM_THREADS": "1"},
        )
        atexit.register(self.process.kill)

    def start(self, folder: Path, scenario: Scenario, *, number: int, by: int) -> int:
        """Start a scenario's verb in a session of its own; its process. It sends itself `by` before its `number`-th
        change of a file below the folder; never with 0."""
        request = {"folder": str(folder), "verb": scenario.verb, "number": number, "by": int(by)}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.answer(LONGEST_S)

    def answer(self, longest_s: float) -> int:
        """The next number that the process writes: of a command that has started, or the status of one that has ended.

        Raises:
            TimeoutError: if there is none within the time.
        """
        if not select.select([self.process.stdout], [], [], longest_s)[0]:
            raise TimeoutError
        return int(self.process.stdout.readline())


starter = cache(Starter)


def run(folder: Path, scenario: Scenario, *, number: int = 0, by: int = signal.SIGKILL) -> Done:
    """Run a scenario's verb in a folder, killed before its `number`-th change, or whole (0)."""
    session = starter().start(folder, scenario, number=number, by=by)
    started_s = time.monotonic()
    status, took_s = ended(session, scenario), time.monotonic() - started_s
    return Done(status, said_by(folder).read_text("utf-8", "replace"), took_s)


def run_and_kill(folder: Path, scenario: Scenario, *, after_s: float, whom: str, by: int, rng: random.Random) -> bool:
    """Run a verb and kill `whom` (parent, worker, group) after some time, a worker that long after the first starts.

    Whatever happens, the command has to end by itself, and all that it has started with it.

    Returns:
        whether the kill met a process that ran.
    """
    session = starter().start(folder, scenario, number=0, by=by)
    until = time.monotonic() + after_s
    while whom == "worker" and in_session(session) == [session]:
        time.sleep(0.005)
        until = time.monotonic() + after_s
    try:
        starter().answer(max(0.0, until - time.monotonic()))
    except TimeoutError:
        struck = kill_whom(session, whom, by, rng)
        ended(session, scenario)
        return struck
    end_session(session, scenario)
    return False


def kill_whom(session: int, whom: str, by: int, rng: random.Random) -> bool:
    """Kill a command, one of its workers or all of its processes; whether there was one."""
    if whom == "parent":
        os.kill(session, by)
    elif whom == "group":
        os.killpg(session, by)
    elif workers := [pid for pid in in_session(session) if pid != session]:
        kill_one(rng.choice(workers), by)
    else:
        return False
    return True


def ended(session: int, scenario: Scenario) -> int:
    """The exit status of a command, and nothing of it runs any more.

    Raises:
        AssertionError: if it does not end by itself.
    """
    try:
        status = starter().answer(LONGEST_S)
    except TimeoutError:
        os.killpg(session, signal.SIGKILL)
        starter().answer(LONGEST_S)
        raise AssertionError(f"{scenario.verb}: does not end") from None
    finally:
        end_session(session, scenario)
    return status


def end_session(session: int, scenario: Scenario) -> None:
    """Give a command's processes half a minute to end.

    Raises:
        AssertionError: if some outlive it; they are killed.
    """
    until = time.monotonic() + 30
    while (rest := in_session(session)) and time.monotonic() < until:
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


def said_by(folder: Path) -> Path:
    """Where what a command says on stderr goes: beside its folder."""
    return folder.with_name(f"{folder.name}.stderr")


def serve() -> dict:
    """Start a copy of this process for each line on stdin, and say its number and then its exit status on stdout.

    Returns:
        the request, in a copy alone.
    """
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            print(os.getpid(), flush=True)
            return request
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def become(request: dict) -> None:
    """Take over a command's streams, folder, settings and words."""
    folder = Path(request["folder"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    said = os.open(said_by(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream, target in enumerate((nowhere, nowhere, said)):
        os.dup2(target, stream)
    os.chdir(folder)
    os.environ.update(environment(folder))
    sys.argv = ["orbit-lite", *request["verb"]]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for name in LOADED:
        import_module(name)
    threads = [Path(f"/proc/self/task/{number}/comm").read_text().strip() for number in os.listdir("/proc/self/task")]
    # a copy has none of them; jemalloc does without its own
    assert len(threads) - threads.count("jemalloc_bg_thd") == 1, f"threads: {threads}"
    from orbit_lite.cli.parser import main

    request = serve()
    become(request)
    changes = watch(request["folder"], request["number"], request["by"])
    status = main(request["verb"])
    print(f"changes: {changes[0]}", file=sys.stderr)
    sys.exit(status)
