"""Evaluating a personal file on a tree: the scores of the answers that `recognize` gives, and refused requests."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.making.pack import pack
from eval.formats.answer_text import NONE_OF_THESE
from eval.formats.records import read_predictions, read_scorecard, read_tasks
from orbit_lite.cli.parser import main
from orbit_lite.data.loader import to_images
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.answering.reading import VideoJob, read_batches
from orbit_lite.personal.decision.rejection import OperatingPoint, Rejection
from orbit_lite.personal.evaluating.evaluate import PersonalRequest, evaluate_personal
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.teaching.personalize import personalize

CPU = torch.device("cpu")
FILES = ("tasks.jsonl", "predictions.parquet", "scorecard.json", "report.html", "answers_curve.csv")
AIMS = (0.05, 0.1, 0.2, 0.35, 0.5)


def clutter_of(user: Path) -> list[Path]:
    return sorted(user.glob("*/clutter/*.mp4"))


def graded(personal, videos):
    """The same recognizer with a curve that gives frames of these videos all three kinds of answers."""
    jobs = [VideoJob(video, personal.frame_size_px) for video in videos]
    pictures = np.concatenate([batch.pictures for job in jobs for batch in read_batches(job)])
    familiarity = personal.scores(to_images(pictures, 1)).familiarity
    low, high = (np.quantile(familiarity, [factor * aim for aim in AIMS]) for factor in (1, 1.5))
    points = [
        OperatingPoint(aim, float(below), float(sure), misses=aim / 2, false_alarms=0.6 - aim)
        for aim, below, sure in zip(AIMS, low, high, strict=True)
    ]
    calibration = replace(personal.calibration, temperature=1e-3, rejection=Rejection(curve=tuple(points)))
    return replace(personal, calibration=calibration)


@pytest.fixture(scope="module")
def graded_file(alice_file, alice, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("graded") / "alice.safetensors"
    save_personal(path, graded(load_personal(alice_file), clutter_of(alice)))
    return path


@pytest.fixture(scope="module")
def trees(pocket_raw, pocket_frames, tmp_path_factory) -> dict[str, Path]:
    packed = tmp_path_factory.mktemp("trees") / "packed"
    pack(pocket_frames, packed)
    return {"raw": pocket_raw, "frames": pocket_frames, "packed": packed}


@pytest.fixture(scope="module")
def recognized(graded_file, alice, tmp_path_factory) -> pd.DataFrame:
    """The answers of `recognize` for alice's clutter videos, one row per frame."""
    table = tmp_path_factory.mktemp("recognized") / "answers.csv"
    assert main(["recognize", "--model", str(graded_file), *map(str, clutter_of(alice)), "--csv", str(table)]) == 0
    return pd.read_csv(table, keep_default_na=False)


@pytest.fixture
def run_evaluate(run_verb):
    """Run the verb on a personal file: exit status, standard output, last line of standard error."""

    def call(file, tree, out, *options):
        wanted = ["--model", file, "--data", tree, "--protocol", "own-videos", "--out", out, "--workers", "0"]
        return run_verb("evaluate", *wanted, "--device", "cpu", *options)

    return call


def of_video(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), rows) for name, rows in table.groupby("video", sort=True, observed=True)]


@pytest.mark.parametrize("kind", ["raw", "frames", "packed"])
def test_the_answers_equal_those_of_recognize_on_every_tree(
    run_evaluate, graded_file, alice, trees, recognized, tmp_path, kind
):
    status, out, _ = run_evaluate(graded_file, trees[kind], tmp_path / "run")
    assert status == 0
    found = read_predictions(tmp_path / "run/predictions.parquet")
    task = read_tasks(tmp_path / "run/tasks.jsonl").tasks[0]
    labels = {plan.video: plan.label for plan in task.query}
    assert len(labels) == found.video.nunique() == 3
    assert set(found.user) == {alice.name}
    kinds = set()
    for name, rows in of_video(found):
        # videos have other names than files; each object has one
        (path,) = [path for path in clutter_of(alice) if path.parent.parent.name == task.objects[labels[name]]]
        output = recognized[recognized.video == str(path)]
        assert rows.frame.tolist() == output.frame.tolist()
        assert rows.answer.tolist() == output.answer.tolist()
        assert [task.objects[label] for label in rows.prediction] == output.likeliest.tolist()
        assert rows.confidence.tolist() == pytest.approx(output.confidence.tolist(), abs=6e-5)
        kinds |= {"none" if text == NONE_OF_THESE else text.split()[0] for text in rows.answer}
    assert {"none", "maybe"} < kinds
    assert Counter(found.answer) == Counter(recognized.answer)
    card = read_scorecard(tmp_path / "run/scorecard.json")
    assert (
        f"none of these  {100 * card.overall.answers.none:.1f}".split()
        == next(line for line in out.splitlines() if line.startswith("none of these")).split()
    )
    assert len(task.support) == 6  # each teaching video, in whatever form the tree has it


def test_the_scorecard_agrees_with_the_answers(graded_file, trees, recognized, alice, tmp_path):
    request = PersonalRequest(graded_file, trees["frames"], "own-videos")
    card = evaluate_personal(request, tmp_path / "run", workers=0, device=CPU)
    shares = []
    for path in clutter_of(alice):
        rows = recognized[recognized.video == str(path)]
        own, named = path.parent.parent.name, rows.answer != NONE_OF_THESE
        right = rows.answer.isin([own, f"maybe {own}"])
        maybe = rows.answer.str.startswith("maybe ")
        shares.append((right.mean(), (named & ~right).mean(), (~named).mean(), maybe.mean()))
    answers = card.overall.answers
    got = (answers.right, answers.wrong, answers.none, answers.unsure)
    assert got == pytest.approx(tuple(np.mean(shares, axis=0)))
    assert answers.right + answers.wrong + answers.none == pytest.approx(1)
    assert card.overall.chance == pytest.approx(1 / 3)
    assert card.overall.ece is not None
    curve = card.answers_curve
    assert (curve.strictness, curve.chosen) == ("balanced", 1)
    assert [point.aim for point in curve.points] == list(AIMS)
    assert [point.misses for point in curve.points] == [aim / 2 for aim in AIMS]
    assert curve.points[1].answers.model_dump() == pytest.approx(answers.model_dump())
    none = [point.answers.none for point in curve.points]
    assert none == sorted(none) and none[0] < none[-1]
    assert (tmp_path / "run/answers_curve.svg").is_file()
    provenance = card.provenance
    assert (provenance["personal file"], provenance["learner"]) == ("alice.safetensors", "protonets")
    assert (provenance["backbone"], provenance["strictness"]) == ("tiny", "balanced")
    assert card.cost.macs_to_personalize.mean > 1e7  # the cost of all teaching videos


def test_strictness_changes_answers_and_never_predictions(run_evaluate, graded_file, trees, tmp_path):
    tables, cards = {}, {}
    for name in ("eager", "balanced", "careful"):
        out = tmp_path / name
        assert run_evaluate(graded_file, trees["frames"], out, "--strictness", name)[0] == 0
        tables[name], cards[name] = (
            read_predictions(out / "predictions.parquet"),
            read_scorecard(out / "scorecard.json"),
        )
        assert cards[name].answers_curve.strictness == name
    first = tables["eager"].drop(columns="answer")
    assert all(table.drop(columns="answer").equals(first) for table in tables.values())
    none = [cards[name].overall.answers.none for name in ("eager", "balanced", "careful")]
    assert none == sorted(none) and len(set(none)) == 3
    metrics = [card.overall.model_copy(update={"answers": None}) for card in cards.values()]
    assert metrics[0] == metrics[1] == metrics[2]
    points = [card.answers_curve.points for card in cards.values()]
    assert points[0] == points[1] == points[2]
    status, _, last = run_evaluate(graded_file, trees["frames"], tmp_path / "eager")
    assert (status, "holds another run (model.strictness is 'eager' there, 'balanced' here)" in last) == (2, True)


def test_a_file_without_a_curve_answers_maybe_to_everything(alice_file, trees, tmp_path):
    personal = load_personal(alice_file)
    untested = replace(personal, calibration=replace(personal.calibration, rejection=Rejection()))
    save_personal(tmp_path / "alice.safetensors", untested)
    request = PersonalRequest(tmp_path / "alice.safetensors", trees["frames"], "own-videos")
    card = evaluate_personal(request, tmp_path / "run", workers=0, device=CPU)
    assert (card.overall.answers.none, card.overall.answers.unsure) == (0, 1)
    assert card.overall.answers.right == pytest.approx(card.overall.frame_accuracy.per_video.mean)
    assert card.answers_curve is None
    assert not (tmp_path / "run/answers_curve.csv").exists()


@pytest.fixture(scope="module")
def confusing(alice, tmp_path_factory) -> tuple[Path, Path]:
    """A tree whose objects are named like answers, and its user's file."""
    folder = tmp_path_factory.mktemp("confusing")
    names = ("none of these", "maybe mug", "mug")
    for thing, name in zip(sorted(path for path in alice.iterdir() if path.is_dir()), names, strict=True):
        shutil.copytree(thing, folder / "tree" / "bob" / name)
    personalize(
        ModelChoice("protonets", "tiny", "random"), [folder / "tree/bob"], folder / "bob.safetensors", device=CPU
    )
    personal = graded(load_personal(folder / "bob.safetensors"), clutter_of(folder / "tree/bob"))
    save_personal(folder / "bob.safetensors", personal)
    return folder / "tree", folder / "bob.safetensors"


def test_objects_named_like_answers_are_told_apart_in_parquet_csv_and_text(run_evaluate, run_verb, confusing, tmp_path):
    tree, file = confusing
    assert run_evaluate(file, tree, tmp_path / "run")[0] == 0
    found = read_predictions(tmp_path / "run/predictions.parquet")
    task = read_tasks(tmp_path / "run/tasks.jsonl").tasks[0]
    assert task.objects == ("maybe mug", "mug", "none of these")
    status, out, _ = run_verb("recognize", "--model", file, *clutter_of(tree / "bob"), "--csv", tmp_path / "a.csv")
    rows = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert status == 0 and Counter(rows.answer) == Counter(found.answer)
    spelled = {'"maybe mug"', 'maybe "maybe mug"', "mug", "maybe mug", '"none of these"', 'maybe "none of these"'}
    assert set(found.answer) <= {*spelled, NONE_OF_THESE}
    assert len(set(found.answer)) >= 3
    for row in rows.itertuples():
        assert (row.object == "") == (row.answer == NONE_OF_THESE)
        assert row.object in ("", row.likeliest)
    for line in out.splitlines():
        if line.startswith(str(tree)):
            assert line.split(": ", 1)[1] in {*spelled, NONE_OF_THESE}
    answers = read_scorecard(tmp_path / "run/scorecard.json").overall.answers
    named = (found.answer != NONE_OF_THESE).groupby(found.video.astype(str)).mean().mean()
    assert answers.right + answers.wrong == pytest.approx(named)


@pytest.mark.slow
def test_a_run_that_was_killed_resumes_with_the_next_video(
    graded_file, trees, tmp_path, run_killed, run_evaluate, capsys
):
    """A real SIGKILL when the second video's predictions are written: the first one's frames are not read again."""
    options = ["--model", graded_file, "--data", trees["frames"], "--protocol", "own-videos", "--out", tmp_path / "cut"]
    command = ["evaluate", *map(str, options), "--workers", "0", "--device", "cpu"]
    run_killed("from orbit_lite.cli.parser import main; main()", *command, place=r"\.parts/[^/]+\.parquet$", count=2)
    (done,) = (tmp_path / "cut/.parts").glob("[!.]*.parquet")
    assert done.name == "00000.parquet"
    assert not (tmp_path / "cut/predictions.parquet").exists()
    assert main(command) == 0
    output = capsys.readouterr().err
    assert "predicted before: 1 of 3 videos" in output
    plans = read_tasks(tmp_path / "cut/tasks.jsonl").tasks[0].query[1:]
    left = sum(len(plan.frames) for plan in plans)
    assert f"frames answered: {left} of {left}, " in output
    assert not (tmp_path / "cut/.parts").exists()
    assert run_evaluate(graded_file, trees["frames"], tmp_path / "whole")[0] == 0
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_reading_in_workers_gives_the_same_and_thumbnails_only_if_asked(run_evaluate, graded_file, trees, tmp_path):
    for name, options in (("alone", []), ("workers", ["--workers", "2", "--thumbnails"])):
        assert run_evaluate(graded_file, trees["frames"], tmp_path / name, *options)[0] == 0
    alone, workers = (read_predictions(tmp_path / name / "predictions.parquet") for name in ("alone", "workers"))
    assert alone.equals(workers)
    assert "data:image/jpeg" not in (tmp_path / "alone/report.html").read_text()
    assert "data:image/jpeg" in (tmp_path / "workers/report.html").read_text()


def test_a_learner_that_adapts_uses_the_state_in_the_file(alice, trees, tmp_path, run_verb):
    file = tmp_path / "alice.safetensors"
    personalize(ModelChoice("cnaps", "tiny", "random"), [alice], file, device=CPU)
    personal = load_personal(file)
    assert personal.fitted.state
    save_personal(file, graded(personal, clutter_of(alice)))
    card = evaluate_personal(
        PersonalRequest(file, trees["frames"], "own-videos"), tmp_path / "run", workers=0, device=CPU
    )
    assert run_verb("recognize", "--model", file, *clutter_of(alice), "--csv", tmp_path / "a.csv")[0] == 0
    rows = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert Counter(rows.answer) == Counter(read_predictions(tmp_path / "run/predictions.parquet").answer)
    assert card.provenance["learner"] == "cnaps"


def another(user: Path) -> str:
    return next(path.name for path in sorted(user.parent.iterdir()) if path != user)


def test_the_choice_of_the_user(run_evaluate, graded_file, alice, trees, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(trees["frames"] / "test" / alice.name, tree / "somebody")
    assert run_evaluate(graded_file, tree, tmp_path / "only")[0] == 0  # the only user
    card = read_scorecard(tmp_path / "only/scorecard.json")
    assert ([row.user for row in card.per_user], card.split) == (["somebody"], "")
    (tree / "index.csv").unlink()
    shutil.copytree(trees["frames"] / "test" / another(alice), tree / "nobody")
    status, _, last = run_evaluate(graded_file, tree, tmp_path / "which")
    assert (status, f"user {alice.name} is not in {tree}: give --user; there are nobody, somebody" in last) == (2, True)
    status, _, last = run_evaluate(graded_file, tree, tmp_path / "which", "--user", "some body")
    assert (status, "did you mean" in last, "--user some body: not in" in last) == (2, True, True)
    status, _, last = run_evaluate(graded_file, trees["frames"], tmp_path / "which", "--split", "train")
    assert (status, f"user {alice.name} is not in split train" in last, "give --split test" in last) == (2, True, True)
    assert not (tmp_path / "which").exists()


@pytest.fixture
def own_tree(alice, pocket_frames, tmp_path) -> Path:
    """Alice's frames as a separate tree that tests may damage."""
    shutil.copytree(pocket_frames / "test" / alice.name, tmp_path / "tree" / alice.name)
    return tmp_path / "tree"


def test_objects_unknown_to_the_file_are_named(run_evaluate, graded_file, own_tree, tmp_path):
    user = next(own_tree.iterdir())
    things = sorted(path for path in user.iterdir())
    things[0].rename(user / "a new thing")
    status, _, last = run_evaluate(graded_file, own_tree, tmp_path / "run")
    assert status == 1
    assert f"user {user.name} has clutter videos of 'a new thing', unknown to {graded_file}" in last
    assert things[1].name in last  # the objects that it knows
    assert not (tmp_path / "run").exists()


def test_an_unknown_object_without_test_videos_is_allowed(run_evaluate, graded_file, own_tree, tmp_path):
    user = next(own_tree.iterdir())
    thing = sorted(user.iterdir())[0]
    shutil.rmtree(thing / "clutter")
    thing.rename(user / "a new thing")
    assert run_evaluate(graded_file, own_tree, tmp_path / "run")[0] == 0
    card = read_scorecard(tmp_path / "run/scorecard.json")
    assert (card.counts.videos, card.overall.chance) == (2, pytest.approx(1 / 3))


@pytest.mark.parametrize("renamed", [False, True])
def test_a_video_that_taught_it_is_refused_under_any_name(run_evaluate, graded_file, own_tree, tmp_path, renamed):
    user = next(own_tree.iterdir())
    clean = sorted(user.glob("*/clean/*"))[0]
    name = "a-new-name" if renamed else clean.name
    target = clean.parent.parent / "clutter" / name
    shutil.move(clean, target)
    for frame in sorted(target.iterdir()):
        frame.rename(target / frame.name.replace(clean.name, name))
    status, _, last = run_evaluate(graded_file, own_tree, tmp_path / "run")
    assert status == 1
    assert f"{target}: also taught {graded_file} ({clean.parent.parent.name})" in last
    assert not (tmp_path / "run").exists()


def test_a_user_without_test_videos_is_an_error(run_evaluate, graded_file, own_tree, tmp_path):
    for folder in own_tree.glob("*/*/clutter"):
        shutil.rmtree(folder)
    status, _, last = run_evaluate(graded_file, own_tree, tmp_path / "run")
    assert (status, "has no clutter videos to test with" in last) == (1, True)


@pytest.mark.parametrize("protocol", ["orbit-2022", "orbit-2021-clu-ve", "orbit-2021-cle-ve", "pocket-training"])
def test_a_protocol_that_draws_tasks_is_refused(run_verb, graded_file, trees, tmp_path, protocol):
    wanted = ["--model", graded_file, "--data", trees["frames"], "--protocol", protocol, "--out", tmp_path / "run"]
    status, _, last = run_verb("evaluate", *wanted)
    assert status == 2
    assert f"--protocol {protocol}: draws support and query videos" in last and "give --protocol own-videos" in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plain"], "--plain can't be used with the personal recognizer"),
        (["--time"], "--time can't be used with"),
        (["--tasks-per-user", "2"], "--tasks-per-user can't be used with"),
        (["--backbone", "tiny"], "--backbone can't be used with"),
        (["--weights", "random"], "--weights can't be used with"),
    ],
)
def test_options_that_do_not_apply_are_refused(run_evaluate, graded_file, trees, tmp_path, options, message):
    status, _, last = run_evaluate(graded_file, trees["frames"], tmp_path / "run", *options)
    assert (status, message in last) == (2, True)


@pytest.mark.parametrize("option", [("--user", "P1"), ("--strictness", "eager")])
def test_options_that_need_a_personal_recognizer_are_refused_without_one(run_verb, trees, tmp_path, option):
    model = ["--model", "protonets", "--backbone", "tiny", "--data", trees["frames"], "--protocol", "own-videos"]
    status, _, last = run_verb("evaluate", *model, "--out", tmp_path / "run", *option)
    assert (status, f"{option[0]} needs a personal recognizer as --model" in last) == (2, True)


def test_strictness_without_a_curve_is_refused(run_evaluate, alice_file, trees, tmp_path):
    personal = load_personal(alice_file)
    save_personal(
        tmp_path / "a.safetensors", replace(personal, calibration=replace(personal.calibration, rejection=Rejection()))
    )
    status, _, last = run_evaluate(
        tmp_path / "a.safetensors", trees["frames"], tmp_path / "run", "--strictness", "eager"
    )
    assert (status, "can't be chosen" in last) == (2, True)


def test_forget_removes_the_whole_run_of_a_single_user(run_evaluate, run_verb, graded_file, own_tree, tmp_path):
    user = next(own_tree.iterdir()).name
    assert run_evaluate(graded_file, own_tree, tmp_path / "run")[0] == 0
    assert run_verb("forget", "--data", own_tree, "--user", user, "--run", tmp_path / "run", "--yes")[0] == 0
    assert not (tmp_path / "run").exists()


def test_other_verbs_read_the_run(run_evaluate, run_verb, graded_file, trees, tmp_path):
    run = tmp_path / "run"
    assert run_evaluate(graded_file, trees["frames"], run)[0] == 0
    tasks = ["--tasks", run / "tasks.jsonl", "--predictions", run / "predictions.parquet"]
    assert run_verb("check", *tasks)[0] == 0
    assert run_verb("score", *tasks, "--out", tmp_path / "again.json")[0] == 0
    first, again = (json.loads(path.read_text()) for path in (run / "scorecard.json", tmp_path / "again.json"))
    for name in ("overall", "answers_curve", "per_video", "provenance"):
        assert first[name] == again[name]
    assert run_verb("report", run)[0] == 0
    assert run_verb("results", *tasks, "--out", tmp_path / "results.json")[0] == 0
    with (run / "answers_curve.csv").open(newline="") as file:
        assert [float(row["aim"]) for row in csv.DictReader(file)] == list(AIMS)
