"""The causal filter: its arithmetic by brute force, and that it never looks ahead."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.tree.index import open_index
from eval.compare import compare, comparison_markdown, comparison_text
from eval.formats.records import Task, VideoPlan, read_predictions_metadata, read_tasks
from eval.leaderboard import leaderboard, leaderboard_text
from eval.report import scorecard_text
from eval.score import filter_text
from groundwork.errors import DataError
from orbit_lite.cli.parser import main
from orbit_lite.config import load_protocol
from orbit_lite.costs.macs import frame_macs
from orbit_lite.data.frames import open_frames
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.evaluation.causal_filter import CausalFilter
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate, filter_note
from orbit_lite.evaluation.predict import predict
from orbit_lite.evaluation.user_work import extra_frames
from orbit_lite.models.choice import ModelChoice
from orbit_lite.models.counting import total
from orbit_lite.models.recognizer import build_recognizer

STAYS = CausalFilter(0.8)
SMALL_PX = 56  # every fourth pixel of 224
MODEL = ["--model", "protonets", "--backbone", "tiny"]


def probabilities(frames=6, way=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(frames, way, generator=draw, dtype=torch.float64).softmax(1)


def test_it_is_the_chance_of_each_object_over_all_that_may_have_been_seen_so_far():
    """Sums over all sequences of objects up to a frame, weighted by prior and likelihood."""
    found, stay = probabilities(frames=4), 0.7
    filtered = CausalFilter(stay)(found)
    for last in range(4):
        weights = np.zeros(3)
        for path in itertools.product(range(3), repeat=last + 1):
            chance = 1 / 3
            for before, now in itertools.pairwise(path):
                chance *= stay * (before == now) + (1 - stay) / 3
            weights[path[-1]] += chance * np.prod([found[t, c] for t, c in enumerate(path)])
        np.testing.assert_allclose(filtered[last], weights / weights.sum(), rtol=1e-12)


def test_staying_with_nothing_leaves_every_frame_as_it_is():
    torch.testing.assert_close(CausalFilter(0.0)(probabilities()), probabilities())


def test_a_row_depends_on_itself_and_earlier_rows_alone():
    found, later = probabilities(), probabilities(seed=1)
    torch.testing.assert_close(STAYS(torch.cat([found[:3], later[3:]]))[:3], STAYS(found)[:3], rtol=0, atol=0)
    assert not torch.allclose(STAYS(torch.cat([later[:3], found[3:]]))[3:], STAYS(found)[3:])


def test_a_flicker_is_outvoted_and_a_change_is_followed():
    sure, flicker = [0.9, 0.1], [0.4, 0.6]
    filtered = CausalFilter(0.9)(torch.tensor([sure] * 5 + [flicker] + [sure] * 3 + [[0.1, 0.9]] * 6))
    assert filtered.argmax(1).tolist()[:9] == [0] * 9
    assert filtered.argmax(1).tolist()[-1] == 1


def test_probabilities_of_zero_and_one_stay_probabilities():
    filtered = CausalFilter(0.999)(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]] * 400))
    assert torch.isfinite(filtered).all()
    torch.testing.assert_close(filtered.sum(1), torch.ones(1200, dtype=torch.float64))


@pytest.fixture(scope="module")
def index(pocket_frames):
    return open_index(pocket_frames)


def one_users_tasks(index, protocol, count=2, most=None):
    """One user's tasks; `most` limits the query frames per video."""
    tasks = TaskSampler(index, load_protocol(protocol), split="test", seed=2).draw_all(tasks_per_user=count)
    own = [task for task in tasks.tasks if task.user == tasks.tasks[0].user]
    own = [replace(t, query=tuple(replace(p, frames=p.frames[:most]) for p in t.query)) for t in own]
    return replace(tasks, tasks=tuple(own))


class Changed:
    """A source of small frames that records reads; frames of clutter videos selected by `black` are black."""

    least_workers = 0

    def __init__(self, index, black=lambda frames: frames < 0):
        self.source, self.black, self.read_frames = open_frames(index), black, []

    def read(self, video, frames):
        pictures = self.source.read(video, frames)[:, ::4, ::4].copy()
        if "--clutter--" in video:
            self.read_frames += [(video, frame) for frame in frames]
            pictures[self.black(np.array(frames))] = 0
        return pictures


@pytest.fixture(scope="module")
def recognizer():
    small = build_recognizer("protonets", "tiny", weights="random", seed=1, frame_size_px=SMALL_PX)
    return small.double()  # otherwise near ties depend on the batch


@pytest.mark.parametrize(("protocol", "most"), [("orbit-2022", 20), ("orbit-2021-clu-ve", 12)])
def test_predictions_equal_those_of_the_plain_way(recognizer, index, protocol, most):
    tasks, source = one_users_tasks(index, protocol, most=most), Changed(index)
    once, plain = (
        predict(recognizer, tasks, index, source, causal_filter=STAYS, plain=plain, quiet=True)
        for plain in (False, True)
    )
    pd.testing.assert_frame_equal(once, plain, rtol=1e-6)
    unfiltered = predict(recognizer, tasks, index, source, quiet=True)
    assert not np.allclose(once.confidence, unfiltered.confidence, atol=1e-3)


@pytest.mark.parametrize("protocol", ["orbit-2022", "orbit-2021-clu-ve"])
@pytest.mark.parametrize("plain", [False, True])
def test_no_later_frame_changes_a_prediction_or_is_read(recognizer, index, protocol, plain):
    tasks, source = one_users_tasks(index, protocol, count=1, most=30), Changed(index, lambda frames: frames > 20)
    how = {"causal_filter": STAYS, "plain": plain, "quiet": True}
    whole = predict(recognizer, tasks, index, Changed(index), **how)
    changed = predict(recognizer, tasks, index, source, **how)
    before = whole.frame <= 20
    assert before.any() and not before.all()
    pd.testing.assert_frame_equal(changed[before], whole[before], rtol=1e-6)
    assert not np.allclose(changed.confidence[~before], whole.confidence[~before], atol=1e-5)
    last = {plan.video: plan.frames[-1] for task in tasks.tasks for plan in task.query}
    assert all(frame <= last[video] for video, frame in source.read_frames)


def test_earlier_frames_change_later_predictions_also_those_no_task_asks_for(recognizer, index):
    tasks = one_users_tasks(index, "orbit-2022", count=1)
    late = [replace(t, query=tuple(replace(p, frames=p.frames[-5:]) for p in t.query)) for t in tasks.tasks]
    tasks = replace(tasks, tasks=tuple(late))
    first = min(plan.frames[0] for plan in tasks.tasks[0].query)
    whole, cut = (
        predict(recognizer, tasks, index, source, causal_filter=CausalFilter(0.99), quiet=True)
        for source in (Changed(index), Changed(index, lambda frames: frames < first))
    )
    assert not np.allclose(whole.confidence, cut.confidence, atol=1e-4)


def test_the_extra_frames_are_those_that_are_read_beside_the_tasks_own(recognizer, index):
    for protocol in ("orbit-2022", "orbit-2021-clu-ve"):
        tasks = one_users_tasks(index, protocol, count=1, most=10)
        read = []
        for causal_filter in (None, STAYS):
            source = Changed(index)
            predict(recognizer, tasks, index, source, causal_filter=causal_filter, quiet=True)
            read.append(len(source.read_frames))
        assert read[1] - read[0] == extra_frames(tasks.tasks[0], STAYS)
    task = Task("P1", 0, ("a", "b"), (), (VideoPlan("v", 0, (3, 4, 9)), VideoPlan("w", 1, (1, 2))))
    assert extra_frames(task, STAYS) == 6


def test_it_is_named_in_run_predictions_scorecard_report_and_leaderboard_and_costs(pocket_frames, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", *MODEL, "--data", str(pocket_frames), "--protocol", "orbit-2022", "--tasks-per-user", "2"]
    command += ["--filter-stay", "0.8", "--workers", "0", "--device", "cpu", "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "causal filter, stay 0.8" in printed
    assert json.loads((out / "run.json").read_text())["settings"]["filter_stay"] == "0.8"
    assert read_predictions_metadata(out / "predictions.parquet")["filter_stay"] == "0.8"
    content = json.loads((out / "scorecard.json").read_text())
    assert content["provenance"]["filter_stay"] == "0.8"
    tasks = read_tasks(out / "tasks.jsonl").tasks
    extra = [extra_frames(task, STAYS) for task in tasks]
    assert content["cost"]["filter_extra_frames"]["mean"] == pytest.approx(np.mean(extra))
    recognizer = build_recognizer("protonets", "tiny", weights="random", seed=1)
    each = total(frame_macs(recognizer, way=tasks[0].way)).ours
    assert content["cost"]["per_task"][0]["filter_extra_macs"] == extra[0] * each
    for name in ("report.html", "report.md"):
        text = (out / name).read_text()
        assert "causal filter, stay 0.8" in text and "that the filter read" in text
    unfiltered = replace_filter(command, tmp_path / "plain")
    assert main(unfiltered) == 0
    assert "filter" not in (tmp_path / "plain/scorecard.json").read_text()
    assert main([*unfiltered[:-1], str(out)]) == 2  # the folder holds another run
    assert "filter_stay" in capsys.readouterr().err


def replace_filter(command, out):
    place = command.index("--filter-stay")
    return [*command[:place], *command[place + 2 : -1], str(out)]


def test_a_board_names_the_filter_in_its_row_and_says_what_it_read(pocket_frames, tmp_path):
    request = EvaluateRequest(
        ModelChoice("protonets", "tiny"), pocket_frames, "orbit-2022", "test", seed=3, tasks_per_user=1
    )
    filtered = replace(request, causal_filter=STAYS)
    cards = [
        evaluate(asked, tmp_path / str(number), workers=0, device=torch.device("cpu"))
        for number, asked in enumerate((request, filtered))
    ]
    (board,) = leaderboard([("mine", card) for card in cards], published=False)
    assert {row.model for row in board.rows} == {"mine", "mine, causal filter, stay 0.8"}
    assert "more frames per task than the task contains" in leaderboard_text([board])
    assert "causal filter, stay 0.8" in scorecard_text(cards[1])


@pytest.mark.parametrize("value", ["1", "-0.1", "nan", "much"])
def test_a_probability_outside_0_to_below_1_is_refused(value, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *MODEL, "--data", "x", "--protocol", "orbit-2022", "--out", "y", "--filter-stay", value])
    assert stopped.value.code == 2
    assert "--filter-stay: expected" in capsys.readouterr().err


def test_two_filters_are_never_written_alike_and_a_foreign_one_is_refused():
    notes = [filter_note(CausalFilter(stay))["filter_stay"] for stay in (0.9, 0.9999999, 0.99999999)]
    assert notes == ["0.9", "0.9999999", "0.99999999"]
    assert filter_text({"filter_stay": notes[1]}) == "causal filter, stay 0.9999999"
    for wrong in ("1", "nan", "-0.1", "<b>", "9" * 10_000):
        with pytest.raises(DataError, match=r"filter_stay: expected a number in \[0, 1\), got") as error:
            filter_text({"filter_stay": wrong})
        assert len(str(error.value)) < 400


def test_a_comparison_says_that_one_of_the_two_was_filtered(pocket_frames, tmp_path):
    request = EvaluateRequest(
        ModelChoice("protonets", "tiny"), pocket_frames, "orbit-2022", "test", seed=3, tasks_per_user=1
    )
    plain, filtered = (
        evaluate(replace(request, causal_filter=own), tmp_path / name, workers=0, device=torch.device("cpu"))
        for name, own in (("a", None), ("b", STAYS))
    )
    found = compare(plain, filtered, names=("a", "b"))
    said = "a was not filtered over time, b was filtered over time (causal filter, stay 0.8): part of the difference"
    assert said in comparison_text(found) and said in comparison_markdown(found)
    assert compare(filtered, filtered).note is None
