"""Two processes on gloo, as started by torchrun, compared with one: same tasks, same weights up to rounding."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orbit_lite.cli.parser import main
from orbit_lite.models.checkpoint import load_recognizer
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.runs.ranks import Ranks, merge_shares
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import BEST_NAME

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")
ALONE = Ranks(CPU)
QUICK = ["epochs=1", "tasks.tasks_per_user=3", "tasks_per_step=4", "tasks.query.frames.at_most=2", "lite.h=4"]


def torchrun(count: int, *arguments: str, status: int = 0) -> str:
    """Run on this many ranks; returns stderr."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == status, done.stderr
    return done.stderr


# Forks the ranks of one run after another, one run per input line, with torch loaded only once.
RANKS = """
import json, os, runpy, socket, sys
import pyarrow.parquet, orbit_lite.cli.parser, orbit_lite.evaluation.evaluate, orbit_lite.training.loop

for line in sys.stdin:
    count, said, command = json.loads(line)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for number in range(count):
        if (child := os.fork()) == 0:
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
            os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            os.dup2(2, 1)
            status = 1
            try:
                sys.argv = command
                script = command[0].endswith(".py")
                status = 0 * len(runpy.run_path(command[0])) if script else orbit_lite.cli.parser.main(command)
            finally:
                sys.stderr.flush()
                os._exit(status)
        ranks.append(child)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in ranks]), flush=True)
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """Run a script or an orbit-lite command on this many ranks, like torchrun; returns their output."""
    command = [sys.executable, "-c", RANKS]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=-1, stdout=-1, text=True) as started:

        def run(count: int, *command: object, statuses: Sequence[int] = (0,)) -> str:
            said = tmp_path_factory.mktemp("ranks") / "said"
            print(json.dumps([count, str(said), list(map(str, command))]), file=started.stdin, flush=True)
            found = json.loads(started.stdout.readline())
            assert found == [*statuses] * (count // len(statuses)), said.read_text()
            return said.read_text()

        yield run
        started.stdin.close()


@given(st.lists(st.integers(), max_size=20), st.integers(1, 6))
def test_shares_merge_into_the_original_order(items, count):
    parts = [Ranks(CPU, number, count).share(items) for number in range(count)]
    assert merge_shares(parts) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_rank_changes_nothing():
    model = torch.nn.Linear(2, 2)
    ALONE.sum_gradients(model)
    assert model.weight.grad is None
    assert ALONE.sum([1.0, 2.5]) == [1.0, 2.5] and ALONE.largest(-1) == -1 and ALONE.gather("part") == ["part"]


SCRIPT = """
import sys
from pathlib import Path
import numpy as np, torch
from orbit_lite.training.experiment import LiteConfig
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.runs.ranks import joined_ranks
from orbit_lite.training.loop import step_gradient

def task(number):
    generator = torch.Generator().manual_seed(number)
    images = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.tensor([0, 1, 0, 1])
    return TaskPixels(images[:4], labels, images[4:], labels[:3], 2)

clamp = float(sys.argv[2]) or None
with joined_ranks(torch.device("cpu")) as ranks:
    recognizer = build_recognizer("cnaps", "tiny", weights="random", seed=3, frame_size_px=32).double()
    optimizer = torch.optim.Adam([p for p in recognizer.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for numbers in (range(0, 3), range(3, 4), range(4, 9)):  # the second step has no task for the second rank
        pixels = (task(number) for number in ranks.share(numbers))
        done = step_gradient(recognizer, pixels, numbers, ranks, lite=LiteConfig(h=2), seed=5, clamp=clamp)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(done.loss)
    if ranks.first:
        torch.save((recognizer.state_dict(), losses), sys.argv[1])
"""


@pytest.mark.parametrize("clamp", [0, 1e-5])
def test_two_ranks_give_the_weights_of_one(tmp_path, ranks, clamp):
    (tmp_path / "steps.py").write_text(SCRIPT)
    for count in (1, 2):
        ranks(count, tmp_path / "steps.py", tmp_path / f"{count}.pt", clamp)
    (one, losses), (two, losses_of_two) = (torch.load(tmp_path / f"{count}.pt", weights_only=True) for count in (1, 2))
    start = build_recognizer("cnaps", "tiny", weights="random", seed=3, frame_size_px=32).double().state_dict()
    moved = torch.cat([(one[name] - start[name]).flatten() for name in one if one[name].is_floating_point()])
    apart = torch.cat([(one[name] - two[name]).flatten() for name in one if one[name].is_floating_point()])
    assert moved.norm() > 0 and apart.norm() / moved.norm() < 1e-9
    assert losses_of_two == pytest.approx(losses, rel=1e-12)


MEETING = """
import json, sys
from pathlib import Path
import torch
from groundwork.errors import KitError
from groundwork.lock import only_run
from orbit_lite.training.experiment import LiteConfig
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.runs.ranks import joined_ranks
from orbit_lite.runs.folder import RunFolder
from orbit_lite.training.loop import step_gradient

def tasks_of(ranks, recognizer):
    weight = recognizer.extractor.net[0].weight
    sound = weight.detach().clone()
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    for number in ranks.share(range(10, 16)):
        with torch.no_grad():
            weight.copy_(sound * (float("nan") if number == 13 else 1))
        yield TaskPixels(images, torch.tensor([0, 1, 0, 1]), images, torch.tensor([0, 1, 0, 1]), 2)

def said(work):
    try:
        return str(work())
    except KitError as error:
        return str(error)

def held(ranks, path):
    with ranks.on_first(RunFolder.open(path, {}, machine={})) as run:
        assert (run is not None) == ranks.first
        def again():
            with only_run(path):
                return "free"
        answer = said(again)
        ranks.wait()  # or the first might let go before the second has asked
        return answer

def make(path):
    if path.exists():
        return "found"
    path.touch()
    return "made"

with joined_ranks(torch.device("cpu")) as ranks:
    folder, found = Path(sys.argv[1]), {}
    found["made"] = ranks.after_first(lambda: make(folder / "index"))
    found["held"] = said(lambda: held(ranks, folder / "run"))
    found["refused"] = said(lambda: held(ranks, folder / "photos"))
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    pixels = tasks_of(ranks, recognizer)
    found["wrong"] = step_gradient(recognizer, pixels, range(10, 16), ranks, lite=LiteConfig(h=2), seed=5).wrong_task
    if ranks.first:
        found["alone"] = said(ranks.wait)
    (folder / str(ranks.number)).write_text(json.dumps(found))
"""


def test_ranks_agree_on_errors(tmp_path, ranks):
    """Who writes, a folder that the first rank can't use, a task that is not finite on the second, a lost rank."""
    (tmp_path / "meeting.py").write_text(MEETING)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    ranks(2, tmp_path / "meeting.py", tmp_path)
    found = [json.loads((tmp_path / str(number)).read_text()) for number in (0, 1)]
    assert [of_rank["made"] for of_rank in found] == ["made", "found"]
    for of_rank in found:
        assert "another run is writing here" in of_rank["held"]
        assert "photos: this folder is not empty and holds no run of this kit" in of_rank["refused"]
        assert of_rank["wrong"] == 13
    assert "another rank has failed and reported its error" in found[0]["alone"]


@pytest.mark.slow
def test_a_whole_run_on_two_ranks_is_that_of_one(pocket_frames, tmp_path, ranks):
    """Started by torchrun itself, compared with a single process without torchrun."""
    options = ["--data", str(pocket_frames), "--workers", "0", "--device", "cpu", "--out"]
    assert main(["train", "pocket", *QUICK, *options, str(tmp_path / "run1")]) == 0
    torchrun(2, "-m", "orbit_lite", "train", "pocket", *QUICK, *options, str(tmp_path / "run2"))
    one, two = (load_recognizer(tmp_path / f"run{count}" / BEST_NAME).state_dict() for count in (1, 2))
    config = load_experiment("pocket", QUICK)
    start = build_recognizer(config.learner, "tiny", weights="random", seed=config.seed).state_dict()
    moved = torch.cat([(one[name] - start[name]).flatten() for name in one])
    apart = torch.cat([(one[name] - two[name]).flatten() for name in one])
    # float32 sums in another order, which Adam amplifies; above, float64 agrees to 1e-9
    assert moved.norm() > 0 and apart.norm() / moved.norm() < 0.05
    # Both ranks report the error, without a traceback.
    told = ranks(2, "train", "pocket", *QUICK, "seed=3", *options, tmp_path / "run2", statuses=(2,))
    assert "run2: holds another run (config.seed is 0 there, 3 here)" in told and "Traceback" not in told
    machine = [json.loads((tmp_path / f"run{count}/run.json").read_text())["machine"]["ranks"] for count in (1, 2)]
    assert machine == [1, 2]


@pytest.mark.slow
def test_users_are_predicted_and_evaluated_by_several_ranks_in_the_same_order(pocket_frames, tmp_path, ranks):
    data = ["--data", str(pocket_frames)]
    tasks = ["--protocol", "orbit-2022", "--tasks-per-user", "2"]
    assert main(["tasks", *data, *tasks, "--out", str(tmp_path / "t.jsonl")]) == 0
    model = ["--model", "protonets", "--backbone", "tiny", "--device", "cpu", "--workers", "0"]
    predict = ["predict", *model, *data, "--tasks", str(tmp_path / "t.jsonl"), "--out"]
    assert main([*predict, str(tmp_path / "1.parquet")]) == 0
    ranks(2, *predict, tmp_path / "2.parquet")
    ranks(2, "evaluate", *model, *data, *tasks, "--out", tmp_path / "run")
    evaluated = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    one, two = (pd.read_parquet(tmp_path / f"{count}.parquet") for count in (1, 2))
    pd.testing.assert_frame_equal(two, evaluated)
    pd.testing.assert_frame_equal(one.drop(columns="confidence"), two.drop(columns="confidence"))
    np.testing.assert_allclose(one.confidence, two.confidence, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
def test_two_gpus_give_the_weights_of_one(pocket_frames, tmp_path):
    for count in (1, 2):
        run = ["-m", "orbit_lite", "train", "pocket", *QUICK, "lite.bf16=false", "--data", str(pocket_frames)]
        torchrun(count, *run, "--workers", "0", "--out", str(tmp_path / f"run{count}"), "--device", "cuda")
    one, two = (load_recognizer(tmp_path / f"run{count}" / BEST_NAME).state_dict() for count in (1, 2))
    config = load_experiment("pocket", QUICK)
    start = build_recognizer(config.learner, "tiny", weights="random", seed=config.seed).state_dict()
    moved = torch.cat([(one[name] - start[name]).flatten() for name in one])
    apart = torch.cat([(one[name] - two[name]).flatten() for name in one])
    assert moved.norm() > 0 and apart.norm() / moved.norm() < 0.05
