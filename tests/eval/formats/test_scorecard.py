import json

import pandas as pd
import pytest
from pydantic import ValidationError

from eval.by_annotation import AnnotationFacts
from eval.formats.records import Scorecard, read_scorecard, write_scorecard
from eval.formats.scorecard import Cost, TaskCost
from eval.score import score
from groundwork.errors import DataError, UsageError


@pytest.fixture
def card(task_set, predictions):
    return score(task_set, predictions, provenance={"model": 'protonets, "tiny" ü'})


@pytest.fixture
def path(tmp_path, card):
    write_scorecard(tmp_path / "scorecard.json", card)
    return tmp_path / "scorecard.json"


def test_a_scorecard_survives_write_and_read(path, card):
    assert read_scorecard(path) == card
    assert isinstance(card, Scorecard)


def test_cost_and_groups_survive_and_may_be_absent(tmp_path, task_set, predictions):
    frames = predictions[["user", "video", "frame"]].drop_duplicates().assign(box_share=0.2)
    videos = sorted({(task.user, plan.video) for task in task_set.tasks for plan in task.support})
    support = pd.DataFrame(videos, columns=["user", "video"]).assign(issue_share=0.5)
    counts = zip(task_set.tasks, (10**12, 3 * 10**12), strict=False)
    each = [TaskCost(user=task.user, task=task.task, macs_to_personalize=count) for task, count in counts]
    cost = Cost.of(each, source="counted by hand")
    card = score(task_set, predictions, cost=cost, facts=AnnotationFacts(frames, support))
    path = tmp_path / "scorecard.json"
    write_scorecard(path, card)
    assert read_scorecard(path) == card
    assert card.by_annotation is not None
    assert card.by_annotation.box_size
    assert card.by_annotation.support_quality
    content = json.loads(path.read_text())
    assert content["cost"]["macs_to_personalize"] == {"mean": 2e12, "std": 1e12, "n": 2}  # by hand
    assert content["cost"]["seconds_to_personalize"] is None
    assert [row["macs_to_personalize"] for row in content["cost"]["per_task"]] == [10**12, 3 * 10**12]
    assert path.read_text().count('"macs_to_personalize_thop":') == 1 + len(each)  # one line per task
    earlier = path.read_text().replace("_personalize", "_personalise")  # the keys in earlier releases
    path.write_text(earlier)
    assert read_scorecard(path) == card
    both = '"seconds_to_personalize": null, "seconds_to_personalise":'
    path.write_text(earlier.replace('"seconds_to_personalise":', both))
    with pytest.raises(DataError, match=r"unknown key .*seconds_to_personalise"):
        read_scorecard(path)
    for name in ("cost", "by_annotation"):
        del content[name]
    path.write_text(json.dumps(content))
    assert read_scorecard(path) == score(task_set, predictions)


def test_a_mean_needs_every_tasks_own():
    rows = [TaskCost(user="P1", task=0, macs_to_personalize=4, seconds_to_personalize=0.5)]
    rows += [TaskCost(user="P1", task=1, macs_to_personalize=8)]
    cost = Cost.of(rows, source="by hand")
    assert cost.macs_to_personalize.model_dump() == {"mean": 6, "std": 2, "n": 2}
    assert (cost.macs_to_personalize_thop, cost.seconds_to_personalize) == (None, None)


def test_a_scorecard_is_not_changed_after_it_was_made(card):
    for record, name in (
        (card, "seed"),
        (card.per_video[0], "frame_accuracy"),
        (card.overall.frame_accuracy, "per_user"),
    ):
        with pytest.raises(ValidationError):
            setattr(record, name, getattr(record, name))


def test_two_writes_give_the_same_bytes(tmp_path, path, card):
    write_scorecard(tmp_path / "again.json", card)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_headline_is_where_others_look_for_it(path, card):
    content = json.loads(path.read_text())
    assert content["overall"]["frame_accuracy"]["per_video"]["mean"] == card.overall.frame_accuracy.per_video.mean
    assert (content["kind"], content["schema"]) == ("scorecard", 1)
    assert path.read_text().count('"video":') == len(card.per_video) + len(card.left_out)  # one row a line
    rows = [line for line in path.read_text().splitlines() if '"frames":' in line]
    assert len(rows) == 1 + len(card.confusion) + len(card.per_video)  # counts, one matrix per line, one video per line


def test_a_truncated_file_is_a_data_error(path):
    content = path.read_bytes()
    for length in range(0, len(content) - 2, len(content) // 25):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"scorecard\.json: not JSON"):
            read_scorecard(path)


def put(content, place, value):
    *way, last = place
    for key in way:
        content = content[key]
    content[last] = value


HEADLINE = ("overall", "frame_accuracy", "per_video")


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("schema",), 2, "schema 2; this version reads schema 1"),
        (("kind",), "tasks", "not a scorecard file"),
        (("color",), "red", "unknown key 'color'; known keys: "),
        ((*HEADLINE, "mean"), float("nan"), r"overall\.frame_accuracy\.per_video\.mean: "),
        ((*HEADLINE, "mean"), 70.5, r"overall\.frame_accuracy\.per_video\.mean: "),
        ((*HEADLINE, "mean"), 1.001, r"overall\.frame_accuracy\.per_video\.mean: "),
        ((*HEADLINE, "mean"), -0.001, r"overall\.frame_accuracy\.per_video\.mean: "),
        ((*HEADLINE, "n"), -1, r"overall\.frame_accuracy\.per_video\.n: "),
        ((*HEADLINE, "mean"), "0.5", r"overall\.frame_accuracy\.per_video\.mean: "),
        ((*HEADLINE, "protocol_interval", "color"), "red", r"unknown key '.*\.color'"),
        ((*HEADLINE, "bootstrap_over_users", "low"), float("inf"), "low: "),
        (("per_video", 0, "task"), 1.5, r"per_video\.0\.task: "),
        (("per_user", 0, "user"), None, r"per_user\.0\.user: "),
        (("left_out", 0, "color"), "red", r"unknown key 'left_out\.0\.color'"),
        (("provenance", "model"), 1, r"provenance\.model: "),
        (
            ("cost",),
            {"source": "x", "macs_to_personalize": {"mean": -1, "std": 0, "n": 1}},
            r"macs_to_personalize\.mean: ",
        ),
        (("cost",), {}, r"key 'cost\.source' is missing"),
        (("confusion", 0, "frames", 0, 0), -1, r"confusion\.0\.frames\.0\.0: "),
        (("confusion", 0, "frames", 0), [1], r"confusion\.0\.frames: .*one per object"),
        (("confusion", 0, "objects"), ["bag"], r"confusion\.0\.frames: .*1 rows of 1"),
    ],
)
def test_an_invalid_value_is_a_data_error_that_names_it(path, place, value, expected):
    content = json.loads(path.read_text())
    put(content, place, value)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=expected) as raised:
        read_scorecard(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_scorecard(tmp_path / "scorecard.json")
