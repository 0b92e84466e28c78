"""Writing and reading a personal file's answers, in predictions.parquet and scorecard.json."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eval.formats.answer_text import NONE_OF_THESE, maybe_text, sure_text
from eval.formats.answers import AnswerKind, Answers, answer_kinds
from eval.formats.check import find_faults
from eval.formats.records import (
    ANSWERED_COLUMNS,
    PREDICTION_COLUMNS,
    Task,
    TaskSet,
    VideoPlan,
    read_answers_curve,
    read_predictions,
    read_predictions_metadata,
    read_scorecard,
    write_predictions,
    write_scorecard,
)
from eval.score import score
from groundwork.errors import DataError

CONFUSING = (
    "mug",
    "maybe mug",
    "Maybe  mug",
    NONE_OF_THESE,
    "None Of These",
    '"maybe mug"',
    f'"{NONE_OF_THESE}"',
    "maybe",
)


def test_answers_are_written_plainly():
    assert (sure_text("mug"), maybe_text("mug"), NONE_OF_THESE) == ("mug", "maybe mug", "none of these")
    assert (sure_text(NONE_OF_THESE), sure_text("maybe mug")) == ('"none of these"', '"maybe mug"')
    assert maybe_text("maybe mug") == 'maybe "maybe mug"'


def test_no_two_answers_are_written_alike():
    texts = [NONE_OF_THESE, *(text(name) for name in CONFUSING for text in (sure_text, maybe_text))]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


@given(st.lists(st.one_of(st.text('"maybe noftsm', min_size=1), st.sampled_from(CONFUSING)), unique=True, max_size=6))
def test_no_two_answers_are_written_alike_whatever_the_objects_are_called(names):
    texts = [NONE_OF_THESE, *(text(name) for name in names for text in (sure_text, maybe_text))]
    assert len(set(texts)) == len(texts)


@pytest.fixture
def confusing():
    """A task whose objects have names that look like answers; each object's three answers are in its own video."""
    objects = tuple(sorted(CONFUSING))
    query = tuple(VideoPlan(f"v{label}", label, (1, 2, 3)) for label in range(len(objects)))
    task_set = TaskSet("own-videos", "", 0, True, "ab", (), (Task("P1", 0, objects, (), query),))
    rows = [
        ("P1", 0, plan.video, frame, plan.label, 0.9, answer)
        for plan in query
        for frame, answer in enumerate(
            [*(text(objects[plan.label]) for text in (sure_text, maybe_text)), NONE_OF_THESE], 1
        )
    ]
    return task_set, pd.DataFrame(rows, columns=ANSWERED_COLUMNS.names)


def test_objects_named_like_answers_are_told_apart(tmp_path, confusing):
    task_set, table = confusing
    write_predictions(tmp_path / "predictions.parquet", table, metadata={})
    back = read_predictions(tmp_path / "predictions.parquet")
    assert list(back.columns) == ANSWERED_COLUMNS.names
    assert back["answer"].tolist() == table["answer"].tolist()
    kinds = answer_kinds(task_set.tasks, np.zeros(len(back), dtype=np.int64), back)
    assert kinds.tolist() == [AnswerKind.SURE, AnswerKind.MAYBE, AnswerKind.NONE] * len(CONFUSING)
    assert pd.read_parquet(tmp_path / "predictions.parquet")["answer"].tolist() == table["answer"].tolist()


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_answers_survive_write_and_read(tmp_path, answered, kind):
    path = tmp_path / "predictions.parquet"
    write_predictions(path, answered.astype({"answer": kind, "video": kind}), metadata={"model": "alice"})
    back = read_predictions(path)
    assert back["answer"].tolist() == answered["answer"].tolist()
    assert (read_predictions_metadata(path), read_answers_curve(path)) == ({"model": "alice"}, None)
    write_predictions(tmp_path / "again.parquet", back, metadata={"model": "alice"})
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_predictions_without_answers_are_what_they_were(tmp_path, answered, predictions):
    for name, table in (("with", answered), ("without", predictions)):
        write_predictions(tmp_path / name, table, metadata={})
    assert list(read_predictions(tmp_path / "without").columns) == PREDICTION_COLUMNS.names
    assert read_predictions(tmp_path / "with")[PREDICTION_COLUMNS.names].equals(read_predictions(tmp_path / "without"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.assign(answer=None), "column answer has .* empty cells"),
        (lambda table: table.drop(columns="confidence"), "columns user, .*expected user, .*answer"),
        (lambda table: table.rename(columns={"answer": "Answer"}), "columns"),
    ],
)
def test_a_wrong_table_is_not_written(tmp_path, answered, change, expected):
    with pytest.raises(DataError, match=expected):
        write_predictions(tmp_path / "predictions.parquet", change(answered), metadata={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda row: "a thing unknown", True),
        (lambda row: row.answer.upper(), True),
        (lambda row: "None of these", True),
        (lambda row: None, True),
        (lambda row: f"thing {(row.prediction + 1) % 2}", True),  # another object than the predicted one
        (lambda row: f"thing {row.prediction}", False),
        (lambda row: f"maybe thing {row.prediction}", False),
        (lambda row: NONE_OF_THESE, False),
    ],
)
def test_an_answer_is_of_the_predicted_object_or_a_fault(task_set, answered, answer, fault):
    place = int(np.flatnonzero(answered["prediction"] < 2)[0])
    row = answered.iloc[place]
    table = answered.astype({"answer": object})
    table.loc[place, "answer"] = answer(row)
    found = find_faults(task_set, table)
    assert len(found) == fault
    if fault:
        assert (found[0].user, found[0].video, found[0].rows, found[0].first) == (row.user, row.video, 1, row.frame)
        assert "neither the predicted object" in str(found[0])
        with pytest.raises(DataError, match="neither the predicted object"):
            score(task_set, table)


def test_a_class_out_of_range_is_one_fault_with_answers_too(task_set, answered):
    answered.loc[3, "prediction"] = 99
    assert [fault.what for fault in find_faults(task_set, answered)] == [
        "predicted as a class that the task does not have"
    ]


def test_answers_are_shares_of_frames_as_means_over_videos():
    """Worked out by hand: a video of four frames and one of two."""
    query = (VideoPlan("a", 0, (1, 2, 3, 4)), VideoPlan("b", 1, (1, 2)))
    task_set = TaskSet("own-videos", "", 0, True, "ab", (), (Task("P1", 0, ("bag", "mug", "pen"), (), query),))
    rows = [
        ("a", 1, 0, "bag"),
        ("a", 2, 0, "maybe bag"),
        ("a", 3, 1, "maybe mug"),
        ("a", 4, 0, NONE_OF_THESE),
        ("b", 1, 1, NONE_OF_THESE),
        ("b", 2, 1, "mug"),
    ]
    table = pd.DataFrame([("P1", 0, *row[:3], 0.75, row[3]) for row in rows], columns=ANSWERED_COLUMNS.names)
    for given_rows in (table, table.iloc[::-1]):
        overall = score(task_set, given_rows.reset_index(drop=True)).overall
        assert overall.answers == Answers(
            right=(2 / 4 + 1 / 2) / 2, wrong=1 / 8, none=(1 / 4 + 1 / 2) / 2, unsure=1 / 4
        )
        # the likeliest object, regardless of the answer
        assert overall.frame_accuracy.per_video.mean == (3 / 4 + 1) / 2
        assert overall.chance == pytest.approx(1 / 3)
        assert overall.ece == pytest.approx(5 / 6 - 3 / 4)  # all confidences are 0.75, 5 of 6 are right


@pytest.mark.parametrize("seed", range(10))
def test_answers_add_up_to_1_and_leave_the_rest_as_it_is(make_tasks, make_predictions, with_answers, seed):
    task_set = make_tasks(seed)
    plain = make_predictions(task_set, seed)
    card, without = score(task_set, with_answers(task_set, plain, seed)), score(task_set, plain)
    answers = card.overall.answers
    assert answers.right + answers.wrong + answers.none == pytest.approx(1)
    assert 0 < answers.unsure <= answers.right + answers.wrong
    assert answers.right <= card.overall.frame_accuracy.per_video.mean
    assert without == card.model_copy(update={"overall": card.overall.model_copy(update={"answers": None})})


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0.5, 0.1, 0.3, 0.0), "sum to 1"), ((0.5, 0.2, 0.3, 0.8), "maybe"), ((1.2, -0.2, 0.0, 0.0), "less than")],
)
def test_invalid_shares_are_refused(values, expected):
    with pytest.raises(ValidationError, match=expected):
        Answers(**dict(zip(("right", "wrong", "none", "unsure"), values, strict=True)))


def test_a_curve_travels_with_predictions_into_the_scorecard(tmp_path, task_set, answered, curve_of):
    curve = curve_of(score(task_set, answered))
    path = tmp_path / "predictions.parquet"
    write_predictions(path, answered, metadata={"model": "alice"}, curve=curve)
    assert (read_answers_curve(path), read_predictions_metadata(path)) == (curve, {"model": "alice"})
    card = score(task_set, read_predictions(path), curve=read_answers_curve(path))
    assert card.answers_curve == curve
    write_scorecard(tmp_path / "scorecard.json", card)
    assert read_scorecard(tmp_path / "scorecard.json") == card
    content = json.loads((tmp_path / "scorecard.json").read_text())
    assert set(content["overall"]["answers"]) == {"right", "wrong", "none", "unsure"}
    assert (tmp_path / "scorecard.json").read_text().count('"false_alarms":') == len(curve.points)  # one per line


def test_a_curve_of_other_answers_is_a_data_error(task_set, answered, predictions, with_answers, curve_of):
    curve = curve_of(score(task_set, answered))
    for table in (predictions, with_answers(task_set, predictions, seed=5)):
        with pytest.raises(DataError, match="mine: its curve over strictness does not match its answers"):
            score(task_set, table, curve=curve, source="mine")


def test_scorecards_of_earlier_releases_are_read(tmp_path, task_set, predictions):
    card = score(task_set, predictions)
    write_scorecard(tmp_path / "scorecard.json", card)
    content = json.loads((tmp_path / "scorecard.json").read_text())
    del content["answers_curve"]
    for name in ("chance", "ece", "answers"):
        del content["overall"][name]
    (tmp_path / "scorecard.json").write_text(json.dumps(content))
    overall = card.overall.model_copy(update={"chance": None, "ece": None})
    assert read_scorecard(tmp_path / "scorecard.json") == card.model_copy(update={"overall": overall})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content["overall"]["answers"].update(right=0.99), r"overall\.answers: .*sum to 1"),
        (lambda content: content["overall"]["answers"].update(color="red"), r"unknown key 'overall\.answers\.color'"),
        (lambda content: content["overall"].update(ece=1.5), r"overall\.ece: "),
        (
            lambda content: content["answers_curve"].update(chosen=50),
            r"answers_curve: .*chosen point 50 is not among the 50 points",
        ),
        (lambda content: content["answers_curve"]["points"][3].update(aim="0.1"), r"answers_curve\.points\.3\.aim: "),
    ],
)
def test_an_invalid_value_is_a_data_error_that_names_it(tmp_path, task_set, answered, curve_of, change, expected):
    card = score(task_set, answered)
    path = tmp_path / "scorecard.json"
    write_scorecard(path, card.model_copy(update={"answers_curve": curve_of(card)}))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=expected):
        read_scorecard(path)
