import json
import shutil
from dataclasses import replace

import pytest
import torch

from eval.formats.records import read_tasks
from eval.leaderboard import leaderboard
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run
from orbit_lite.cli.parser import main
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.evaluation.predict import predict_users
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.choice import ModelChoice
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.loop import train

CPU = torch.device("cpu")
UNTRAINED = ModelChoice("protonets", "tiny")
FILES = ("tasks.jsonl", "predictions.parquet", "scorecard.json", "report.html", "report.md")


def request(data, model=UNTRAINED, protocol="orbit-2022"):
    return EvaluateRequest(model, data, protocol, "test", seed=3, tasks_per_user=2)


def test_the_pipeline_twice_gives_the_same_bytes(pocket_frames, tmp_path):
    """Training, tasks, predictions, scorecard and report, in two folders."""
    quick = ["epochs=1", "tasks.tasks_per_user=2", "lite.h=4", "optimizer.warmup_epochs=0"]
    found = []
    for name in ("first", "second"):
        run = tmp_path / name / "run"
        summary = train(load_experiment("pocket", quick), data=pocket_frames, out=run, workers=0, device=CPU)
        evaluate(request(pocket_frames, ModelChoice(str(summary.best))), tmp_path / name / "out", workers=0, device=CPU)
        files = [run / "best.safetensors", run / "training.csv", *(tmp_path / name / "out" / file for file in FILES)]
        found.append([file.read_bytes() for file in files])
    assert found[0] == found[1]


def test_raw_videos_give_the_same_predictions_and_scores(pocket_raw, pocket_frames, tmp_path):
    cards = [
        evaluate(request(root), tmp_path / str(place), workers=0, device=CPU)
        for place, root in enumerate((pocket_raw, pocket_frames))
    ]
    assert cards[0].overall == cards[1].overall
    assert (tmp_path / "0" / "tasks.jsonl").read_bytes() == (tmp_path / "1" / "tasks.jsonl").read_bytes()


def test_an_interrupted_run_resumes(pocket_frames, tmp_path, monkeypatch):
    out = tmp_path / "out"
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    whole = {name: (out / name).read_bytes() for name in FILES}
    for name in FILES[2:]:
        (out / name).unlink()
    monkeypatch.setattr("orbit_lite.evaluation.evaluate.predict_users", lambda *_, **__: pytest.fail("predicted again"))
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    assert {name: (out / name).read_bytes() for name in FILES} == whole


def test_a_run_from_before_a_protocol_key_existed_resumes(pocket_frames, tmp_path, monkeypatch):
    out = tmp_path / "out"
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    record = json.loads((out / "run.json").read_text())
    for role in ("support", "query"):
        del record["settings"]["protocol"][role]["frames"]["fill_last_clip"]
    (out / "run.json").write_text(json.dumps(record))
    (out / "scorecard.json").unlink()
    monkeypatch.setattr("orbit_lite.evaluation.evaluate.predict_users", lambda *_, **__: pytest.fail("predicted again"))
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    record["settings"]["protocol"]["support"]["min_frames"] = 8
    (out / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"another run \(protocol\.support\.min_frames is 8 there, 1 here\)"):
        evaluate(request(pocket_frames), out, workers=0, device=CPU)


def test_a_run_interrupted_between_users_does_not_predict_the_first_again(pocket_frames, tmp_path, monkeypatch):
    evaluate(request(pocket_frames), tmp_path / "whole", workers=0, device=CPU)

    def first_user_only(*arguments, **how):
        yield next(predict_users(*arguments, **how))
        raise KeyboardInterrupt

    asked = []
    with monkeypatch.context() as patch:
        patch.setattr("orbit_lite.evaluation.evaluate.predict_users", first_user_only)
        with pytest.raises(KeyboardInterrupt):
            evaluate(request(pocket_frames), tmp_path / "cut", workers=0, device=CPU)
    assert len(list((tmp_path / "cut/.parts").iterdir())) == 1
    monkeypatch.setattr(
        "orbit_lite.evaluation.evaluate.predict_users",
        lambda *a, **how: (asked.append(how["done"]), predict_users(*a, **how))[1],
    )
    evaluate(request(pocket_frames), tmp_path / "cut", workers=0, device=CPU)
    assert [len(done) for done in asked] == [1]
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "cut/.parts").exists()


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_next_user(pocket_frames, tmp_path, run_killed, capsys):
    """A real SIGKILL when the second user's predictions are about to be written; the first user's frames are not read
    again."""
    options = ["--model", "protonets", "--backbone", "tiny", "--data", pocket_frames, "--protocol", "orbit-2022"]
    options += ["--seed", "3", "--tasks-per-user", "2", "--workers", "0", "--device", "cpu", "--out", tmp_path / "cut"]
    command = ["evaluate", *map(str, options)]
    run_killed("from orbit_lite.cli.parser import main; main()", *command, place=r"\.parts/[^/]+\.parquet$", count=2)
    (done,) = (tmp_path / "cut/.parts").glob("[!.]*.parquet")
    assert not (tmp_path / "cut/predictions.parquet").exists()
    capsys.readouterr()
    assert main(command) == 0
    again = capsys.readouterr()
    assert "predicted before: 1 of 2 users" in again.err
    tasks = [task for task in read_tasks(tmp_path / "cut/tasks.jsonl").tasks if task.user != done.stem]
    plans = [plan for task in tasks for plan in (*task.support, *task.query)]
    left = len({(plan.video, frame) for plan in plans for frame in plan.frames})
    assert f"frames read and embedded: {left} of {left}, " in again.err
    evaluate(request(pocket_frames), tmp_path / "whole", workers=0, device=CPU)
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_second_run_in_the_same_folder_is_refused(pocket_frames, tmp_path):
    with only_run(tmp_path / "out"), pytest.raises(UsageError, match="out: another run is writing here"):
        evaluate(request(pocket_frames), tmp_path / "out", workers=0, device=CPU)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_plain_way_gives_the_same_scores(pocket_frames, tmp_path):
    cards = [
        evaluate(request(pocket_frames), tmp_path / str(plain), workers=0, device=CPU, plain=plain)
        for plain in (False, True)
    ]
    # except for near ties, because rounding depends on the batch (test_predict.py compares the logits)
    whole, plain = (card.overall.frame_accuracy.per_video.mean for card in cards)
    assert whole == pytest.approx(plain, abs=0.01)


def test_frames_are_in_the_report_only_if_asked(pocket_frames, tmp_path):
    out = tmp_path / "out"
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    assert "data:image/jpeg" not in (out / "report.html").read_text()
    evaluate(request(pocket_frames), out, workers=0, device=CPU, thumbnails=True)
    assert "data:image/jpeg" in (out / "report.html").read_text()


def test_seconds_are_measured_only_if_asked_and_kept(pocket_frames, tmp_path, monkeypatch):
    out = tmp_path / "out"
    plain = evaluate(request(pocket_frames), out, workers=0, device=CPU)
    assert plain.cost.seconds_to_personalize is None and "seconds" not in plain.cost.source
    before = {name: (out / name).read_bytes() for name in FILES}
    timed = evaluate(request(pocket_frames), out, workers=0, device=CPU, timed=True)
    seconds = [row.seconds_to_personalize for row in timed.cost.per_task]
    assert len(seconds) == timed.cost.seconds_to_personalize.n == 4  # two users with two tasks each
    assert len(set(seconds)) == 2 and min(seconds) > 0  # a user's tasks share a support set
    assert timed.cost.seconds_to_personalize.mean == pytest.approx(sum(seconds) / 4)
    assert f"on cpu, {torch.get_num_threads()} CPU thread" in timed.cost.source
    assert "seconds measured on" in (out / "report.html").read_text()
    assert timed.overall == plain.overall
    # the run keeps the measurement: if requested again it is not repeated; if not requested it is left out
    monkeypatch.setattr("orbit_lite.costs.seconds._measure", lambda *_, **__: pytest.fail("measured again"))
    assert evaluate(request(pocket_frames), out, workers=0, device=CPU, timed=True) == timed
    evaluate(request(pocket_frames), out, workers=0, device=CPU)
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_validation_users_are_another_split_and_say_so(pocket_frames, tmp_path):
    wanted = replace(request(pocket_frames), split="validation")
    card = evaluate(wanted, tmp_path / "out", workers=0, device=CPU)
    assert card.split == "validation"
    users = sorted(path.name for path in (pocket_frames / "validation").iterdir())
    assert [row.user for row in card.per_user] == users
    assert "Evaluation, orbit-2022, validation users" in (tmp_path / "out/report.html").read_text()
    [mine] = [board for board in leaderboard([("mine", card)]) if any(row.model == "mine" for row in board.rows)]
    assert mine.key.split == "validation" and len(mine.rows) == 1  # synthetic users are not ORBIT's


def test_a_checkpoints_scorecard_names_learner_and_backbone(pocket_frames, tmp_path):
    recognizer = UNTRAINED.load()
    save_recognizer(tmp_path / "some.safetensors", recognizer, config={})
    card = evaluate(
        request(pocket_frames, ModelChoice(str(tmp_path / "some.safetensors"))), tmp_path / "out", workers=0, device=CPU
    )
    assert (card.provenance["learner"], card.provenance["backbone"]) == ("protonets", "tiny")
    assert len(card.provenance["sha256"]) == 64


def test_a_scorecard_tells_cost_and_accuracy_by_annotation(pocket_frames, tmp_path):
    card = evaluate(request(pocket_frames), tmp_path / "out", workers=0, device=CPU)
    assert card.cost.macs_to_personalize.mean > 1e8  # tiny, some 40 support frames
    sizes = card.by_annotation.box_size
    frames = sum(len(plan.frames) for task in read_tasks(tmp_path / "out/tasks.jsonl").tasks for plan in task.query)
    assert sum(group.n for group in sizes) == frames and all("not annotated" not in group.name for group in sizes)
    assert card.by_annotation.support_quality


def test_the_headline_stands_where_the_contract_says(pocket_frames, tmp_path):
    evaluate(request(pocket_frames), tmp_path / "out", workers=0, device=CPU)
    card = json.loads((tmp_path / "out" / "scorecard.json").read_text())
    assert 0 <= card["overall"]["frame_accuracy"]["per_video"]["mean"] <= 1
    assert card["provenance"]["learner"] == "protonets"
    assert any("sample" in note for note in card["notes"])


def test_own_videos_need_no_split_and_no_annotations(pocket_frames, tmp_path):
    tree = tmp_path / "frames"
    shutil.copytree(pocket_frames / "test", tree)
    card = evaluate(request(tree, protocol="own-videos"), tmp_path / "out", workers=0, device=CPU)
    assert (card.split, card.every_query_frame, len(card.per_user)) == ("", True, 2)
    with pytest.raises(UsageError, match="this tree has no splits"):
        evaluate(request(tree), tmp_path / "other", workers=0, device=CPU)


def test_a_tree_without_annotations_is_named(pocket_frames, tmp_path):
    tree = tmp_path / "frames"
    shutil.copytree(pocket_frames, tree, ignore=shutil.ignore_patterns("annotations"))
    with pytest.raises(DataError, match="no annotations; protocol orbit-2022"):
        evaluate(request(tree), tmp_path / "out", workers=0, device=CPU)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_known_by_its_content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"the same")
    first, second = (ModelChoice(str(tmp_path / name)).describe() for name in ("a", "b"))
    assert first["sha256"] == second["sha256"]
    (tmp_path / "b").write_bytes(b"another")
    assert ModelChoice(str(tmp_path / "b")).describe()["sha256"] != first["sha256"]
