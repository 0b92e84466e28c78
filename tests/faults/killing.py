"""A harness that kills a command, one of its workers, or all of its processes at once: at each call that changes a
file, or at a random moment. Then it runs the same command again, which must give the result of an undisturbed run.

As a program, `python tests/faults/killing.py` loads the commands' libraries, then forks itself for each line it reads
and runs a command in the fork: a command spends most of its time loading torch, before it changes any file.
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
# Python's audit events for calls that change the disk, and the positions of the paths among their arguments.
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
LOADED = (  # none of these starts a thread that a command needs
    *("numpy", "torch", "torchvision", "cv2", "av", "pyarrow.parquet", "scipy.stats", "matplotlib.figure"),
    *("orbit_lite.cli.parser", "data_prep.making.extract", "orbit_lite.evaluation.evaluate"),
)
TEMPORARY = (".part", ".lock", "~lock.part")


@dataclass(frozen=True)
class Scenario:
    """A command, the files it must leave alone and the files it must make.

    Attributes:
        verb: the command's arguments; it runs in a freshly prepared folder.
        kept: files or folders that no kill may change.
        made: files or folders that the command makes; compared by name and bytes.
        heavy: whether it loads torch, which takes seconds.
        differs: files whose bytes differ from run to run.
    """

    verb: tuple[str, ...]
    kept: tuple[str, ...]
    made: tuple[str, ...]
    heavy: bool = False
    differs: tuple[str, ...] = ()


def content(folder: Path, names: tuple[str, ...], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Map the relative path of every file below some files and folders to its hash. For files that end in `but`, the
    value is the number of frames of a video, and empty for other files. Parts and locks are left to `left_over`."""
    found = {}
    for name in names:
        path = folder / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and not file.name.endswith(TEMPORARY):
                relative = file.relative_to(folder).as_posix()
                if not relative.endswith(but or ("\0",)):
                    found[relative] = hashlib.sha256(file.read_bytes()).hexdigest()
                else:
                    found[relative] = f"{frames_in(file)} frames" if file.suffix == ".mp4" else ""
    return found


def frames_in(video: Path) -> int:
    """Decode a video to its end and count its frames."""
    import av

    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def partial_files(folder: Path) -> list[str]:
    """List the partial files and locks below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.endswith(TEMPORARY))


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        returncode: its exit status, below 0 for a signal.
        stderr: what it wrote there.
        took_s: from its start to its end.
    """

    returncode: int
    stderr: str
    took_s: float


class Starter:
    """A process that has loaded the libraries and runs commands as forks of itself, one after another."""

    def __init__(self) -> None:
        self.caches = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # OpenBLAS starts its threads when it is loaded, and a fork would lack them
            env=environment(Path(self.caches.name)) | {"OPENBLAS_NUM_THREADS": "1"},
        )
        atexit.register(self.process.kill)

    def start(self, folder: Path, scenario: Scenario, *, number: int, by: int) -> int:
        """Start a scenario's verb in its own session and return its process ID. It sends itself the signal `by` before
        its `number`-th change of a file below the folder; never if `number` is 0."""
        request = {"folder": str(folder), "verb": scenario.verb, "number": number, "by": int(by)}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.answer(LONGEST_S)

    def answer(self, longest_s: float) -> int:
        """Read the next number: the process ID of a command that has started, or the exit status of one that has ended.

        Raises:
            TimeoutError: if none arrives in time.
        """
        if not select.select([self.process.stdout], [], [], longest_s)[0]:
            raise TimeoutError
        return int(self.process.stdout.readline())


starter = cache(Starter)


def run(folder: Path, scenario: Scenario, *, number: int = 0, by: int = signal.SIGKILL) -> Ended:
    """Run a scenario's verb in a folder and kill it before its `number`-th change, or let it finish (0)."""
    session = starter().start(folder, scenario, number=number, by=by)
    started_s = time.monotonic()
    status, took_s = ended(session, scenario), time.monotonic() - started_s
    return Ended(status, stderr_file(folder).read_text("utf-8", "replace"), took_s)


def run_and_kill(folder: Path, scenario: Scenario, *, after_s: float, whom: str, by: int, rng: random.Random) -> bool:
    """Run a verb and kill `whom` (parent, worker, group) after `after_s`; for a worker, from the first one's start.

    In every case the command and all processes that it started must end by themselves.

    Returns:
        whether the killed process was still running.
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
    """Kill a command, one of its workers or all of its processes; return whether there was one."""
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
    """Wait until a command and all of its processes have ended; return its exit status.

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
        AssertionError: if some are still running; they are killed.
    """
    until = time.monotonic() + 30
    while (rest := in_session(session)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in rest:
        kill_one(pid, signal.SIGKILL)
    assert not rest, f"{scenario.verb}: processes that outlive the command: {rest}"


def in_session(session: int) -> list[int]:
    """List the running processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session_of_it = entry.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session_of_it) == session and state not in "ZX":
            found.append(int(entry.parent.name))
    return sorted(found)


def kill_one(pid: int, by: int) -> None:
    """Send a signal to a process that may have ended already."""
    try:
        os.kill(pid, by)
    except ProcessLookupError:
        return


def environment(folder: Path) -> dict[str, str]:
    """A command's environment variables, which keep all that it writes inside the folder."""
    own = {"XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # no request for published checksums
    return os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def watch(folder: str, number: int, by: int) -> list[int]:
    """Send `by` to this process right before its `number`-th change of a file below `folder`. Return a list whose one
    element is the number of changes so far."""
    me, count = os.getpid(), [0]

    def hook(name: str, arguments: tuple) -> None:
        if name == "open" and isinstance(arguments[0], str) and arguments[2] & WRITES:
            paths = [arguments[0]]
        elif name in CHANGES:
            paths = [arguments[position] for position in CHANGES[name]]
        else:
            return
        # relative paths start at the current folder; writing elsewhere, for example to /dev/null, doesn't count
        ours = [str(path) for path in paths if not str(path).startswith("/") or str(path).startswith(folder)]
        if ours and os.getpid() == me:
            count[0] += 1
            if count[0] == number:
                os.kill(me, by)

    sys.addaudithook(hook)
    return count


def stderr_file(folder: Path) -> Path:
    """The file beside a command's folder that receives its stderr."""
    return folder.with_name(f"{folder.name}.stderr")


def serve() -> dict:
    """Fork this process for each line on stdin; write the fork's process ID and then its exit status to stdout.

    Returns:
        the request, only in a fork.
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
    """Turn this process into a command: set its streams, folder, environment and arguments."""
    folder = Path(request["folder"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    stderr = os.open(stderr_file(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream, target in enumerate((nowhere, nowhere, stderr)):
        os.dup2(target, stream)
    os.chdir(folder)
    os.environ.update(environment(folder))
    sys.argv = ["orbit-lite", *request["verb"]]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for name in LOADED:
        import_module(name)
    threads = [Path(f"/proc/self/task/{number}/comm").read_text().strip() for number in os.listdir("/proc/self/task")]
    # a fork has none of these threads; jemalloc works without its own
    assert len(threads) - threads.count("jemalloc_bg_thd") == 1, f"threads: {threads}"
    from orbit_lite.cli.parser import main

    request = serve()
    become(request)
    changes = watch(request["folder"], request["number"], request["by"])
    status = main(request["verb"])
    print(f"changes: {changes[0]}", file=sys.stderr)
    sys.exit(status)
