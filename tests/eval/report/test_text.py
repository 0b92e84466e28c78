import dataclasses

import pytest

from eval.formats.scorecard import Group
from eval.intervals import BootstrapInterval
from eval.report import compare_table, scorecard_text
from eval.report.tables import counted_unit, support_quality_table
from eval.score import score
from groundwork.errors import UsageError


@pytest.fixture
def cards(task_set, make_predictions):
    return [score(task_set, make_predictions(task_set, seed)) for seed in (0, 1)]


def test_text_has_a_row_a_user_and_the_headline(cards):
    text = scorecard_text(cards[0])
    table = next(part for part in text.split("\n\n") if part.startswith("Result per user"))
    rows = {line.split("  ")[0]: line.split() for line in table.splitlines()}
    for user in cards[0].per_user:
        assert rows[user.user][-3] == f"{100 * user.frame_accuracy:.1f}"
    assert f"{100 * cards[0].overall.frame_accuracy.per_video.mean:.2f}" in text
    assert "no valid query video" in text


def test_text_has_cost_and_annotation_where_known(cards, full_card):
    assert "Cost to personalize" not in scorecard_text(cards[0])
    text = scorecard_text(full_card)
    assert "5.00 T" in text
    assert "\n\nSource: a clock\n" in text
    assert "below 5 % of the frame" in text
    assert "fewest issues" in text


def test_groups_of_one_are_in_the_singular():
    assert [counted_unit(1, unit) for unit in ("videos of tasks", "frames of tasks")] == [
        "1 video of a task",
        "1 frame of a task",
    ]
    nobody = BootstrapInterval(low=None, high=None, n=1, unit="users", draws=0, seed=0)
    group = Group(name="fewest issues", frame_accuracy=0.5, n=1, unit="videos of tasks", bootstrap_over_users=nobody)
    assert support_quality_table([group]).cells[0][2] == "1 video of a task"


def test_text_is_plain(task_set, predictions):
    tasks = dataclasses.replace(task_set, protocol="own\x1b[2J\nvideos")
    text = scorecard_text(score(tasks, predictions))
    assert "own\\x1b[2J\\nvideos" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert not any("\u2500" <= character <= "\u259f" for character in text)  # no box drawing


def test_columns_stand_under_one_another(cards):
    block = next(part for part in scorecard_text(cards[0]).split("\n\n") if part.startswith("Result per user"))
    lines = block.splitlines()[1:]
    assert len({len(line) for line in lines}) == 1  # the last column has right-aligned numbers


def test_comparison_gives_both_and_the_difference(cards):
    before, after = cards
    lines = compare_table(before, after, names=("untrained", "trained")).splitlines()
    assert "untrained, %" in lines[1]
    assert len(lines) == 2 + 3 * 2 + 1
    assert lines[0].endswith(f"; chance {100 * before.overall.chance:.1f} %")
    old, new = (100 * card.overall.ece for card in cards)
    assert lines[-1].startswith("Calibration error, ECE (lower is better)")
    assert lines[-1].split()[-3:] == [f"{old:.1f}", f"{new:.1f}", f"{new - old:+.1f}"]
    old, new = (100 * card.overall.frame_accuracy.per_video.mean for card in cards)
    assert lines[2].split()[-3:] == [f"{old:.1f}", f"{new:.1f}", f"{new - old:+.1f}"]
    old, new = (100 * card.overall.frames_to_recognition.per_user.mean for card in cards)
    assert lines[5].split()[-3:] == [f"{old:.1f}", f"{new:.1f}", f"{new - old:+.1f}"]
    assert "lower is better" in lines[5]


def test_other_tasks_or_protocols_are_not_compared(cards, make_tasks, make_predictions, task_set, predictions):
    other = make_tasks(9)
    with pytest.raises(UsageError, match="have different tasks"):
        compare_table(cards[0], score(other, make_predictions(other)))
    renamed = score(dataclasses.replace(task_set, protocol="orbit-2022"), predictions)
    with pytest.raises(UsageError, match="orbit-2022: they can't be compared"):
        compare_table(cards[0], renamed)
