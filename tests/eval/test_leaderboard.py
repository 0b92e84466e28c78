import csv
import dataclasses
import io
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from eval.formats.challenge import UNCHECKED_NOTE
from eval.formats.records import LeftOut, Task, TaskSet, VideoPlan
from eval.formats.scorecard import Amount, Cost
from eval.leaderboard import (
    SCORED,
    Board,
    BoardKey,
    Row,
    Score,
    leaderboard,
    leaderboard_csv,
    leaderboard_html,
    leaderboard_markdown,
    leaderboard_text,
)
from eval.metrics import METRICS
from eval.published import ORBIT_OBJECTS, ORBIT_USERS, published_rows
from eval.score import score


def card(split="test", *, users=None, objects=None, tasks=50, protocol="orbit-2022", every=False, left_out=0, right=7):
    """A scorecard with these numbers of users and objects; by default those of ORBIT."""
    users = sorted(ORBIT_USERS[split]) if users is None else users
    total = (ORBIT_OBJECTS[split] if objects is None else objects) - left_out
    shares = [len(part) for part in np.array_split(np.arange(total), len(users))]
    plans, rows = [], []
    for user, count in zip(users, shares, strict=True):
        names = tuple(f"thing {i:02d}" for i in range(count))
        query = tuple(VideoPlan(f"{user}--{name}", label, tuple(range(1, 11))) for label, name in enumerate(names))
        for task in range(tasks):
            plans.append(Task(user, task, names, (), query))
            for plan in query:
                predicted = [plan.label] * right + [(plan.label + 1) % count] * (10 - right)
                rows += [(user, task, plan.video, frame, p, 0.5) for frame, p in enumerate(predicted, start=1)]
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    gone = tuple(LeftOut(users[0], f"gone {i}", "", "no valid query video") for i in range(left_out))
    return score(TaskSet(protocol, split, 1, every, "data" * 16, gone, tuple(plans)), table)


ORBIT_TEST = card()
PUBLISHED_50 = ("orbit-2022", "test", "50")


def boards_with(*cards):
    return leaderboard([(f"run-{i}", c) for i, c in enumerate(cards)])


def standings(boards):
    return [{row.standing == SCORED for row in board.rows} for board in boards]


def test_every_published_row_is_there_once_and_marked():
    rows = [row for board in leaderboard() for row in board.rows]
    assert len(rows) == len(published_rows()) == 31
    assert all("published" in row.standing and "not re-run" in row.standing and row.source for row in rows)
    recalled = [row for row in rows if "quoted from memory" in row.standing]
    assert {row.extractor for row in recalled} == {"ResNet-18, 84 px"}
    assert len(recalled) == 8


@pytest.mark.parametrize(
    ("model", "extractor", "expected"),
    [  # README of microsoft/ORBIT-Dataset, 2023
        ("ProtoNets + LITE", "EfficientNet-B0", ("67.91", "0.56")),
        ("ProtoNets cosine + LITE", "ViT-B/32 (IN-21k)", ("75.38", "0.51")),
        ("CNAPs + LITE", "ViT-B/32 CLIP (LAION-2B)", ("72.33", "0.54")),
        ("Simple CNAPs + LITE", "EfficientNet-B0", ("66.83", "0.60")),
        ("FineTuner + FiLM", "EfficientNet-B0", ("66.63", "0.58")),
    ],
)
def test_a_published_number_is_printed_as_it_was(model, extractor, expected):
    [row] = [row for row in leaderboard()[0].rows if (row.model, row.extractor) == (model, extractor)]
    score = row.scores["frame_accuracy"]
    assert (score.printed, score.protocol_interval) == expected
    assert score.mean == pytest.approx(float(expected[0]) / 100)


def test_the_first_board_is_the_leaderboard_best_first():
    first = leaderboard()[0]
    assert (first.key.protocol, first.key.split, first.key.tasks_per_user) == PUBLISHED_50
    assert len(first.rows) == 16
    for board in leaderboard():
        means = [row.scores["frame_accuracy"].mean for row in board.rows]
        assert means == sorted(means, reverse=True)
        assert all(0 <= mean <= 1 for mean in means)


def test_a_card_of_orbits_own_users_stands_among_the_published_rows():
    first = boards_with(ORBIT_TEST)[0]
    assert len(first.rows) == 17
    [row] = [row for row in first.rows if row.standing == SCORED]
    assert (row.model, row.scores["frame_accuracy"].printed) == ("run-0", "70.00")
    assert first.rows.index(row) == sum(r.scores["frame_accuracy"].mean > 0.7 for r in first.rows)
    assert set(row.scores) == {"frame_accuracy"}  # the others don't mention a sample of frames
    # three of ORBIT's test videos have too few valid frames, so the protocol's own rule can leave out an object
    assert len(boards_with(card(left_out=1))[0].rows) == 17


@pytest.mark.parametrize(
    "other",
    [
        {"split": "validation"},
        {"tasks": 10},
        {"protocol": "orbit-2021-clu-ve"},
        {"every": True},
        {"users": ["U1", "U2", "U3", "U4"], "objects": 20},  # the pocket set under ORBIT's protocol
        {"users": sorted(ORBIT_USERS["test"])[1:]},
        {"objects": 157},
    ],
)
def test_another_card_does_not(other):
    boards = boards_with(card(**other))
    assert len(boards[0].rows) == 16
    [mine] = [board for board in boards if any(row.standing == SCORED for row in board.rows)]
    assert mine != boards[0]
    keys = [board.key for board in boards]
    assert len(set(keys)) == len(keys)
    assert len({board.key.caption for board in boards}) == len(boards)


def test_boards_never_mix():
    """Each pair of cards differs in one thing: they are on two boards, unless it is not part of the protocol."""
    kinds = [
        {},
        {"split": "validation"},
        {"tasks": 3},
        {"protocol": "own-videos"},
        {"every": True},
        {"users": ["U1"], "objects": 4},
        {"users": ["U1", "U2"], "objects": 4},
    ]
    cards = [card(**({"tasks": 2} | kind)) for kind in kinds]
    for (i, a), (j, b) in itertools.combinations(enumerate(cards), 2):
        boards = leaderboard([("a", a), ("b", b)], published=False)
        assert len(boards) == 2, (kinds[i], kinds[j])
    assert len(leaderboard([("a", cards[0]), ("b", card(tasks=2, right=3))], published=False)) == 1


def test_every_frame_has_all_metrics_and_macs_are_shown_where_known():
    clu = card(protocol="orbit-2021-clu-ve", every=True, tasks=5).model_copy(
        update={"cost": Cost(macs_to_personalize_thop=Amount(mean=3.21e12, std=0, n=1), source="counted")}
    )
    [board] = [board for board in boards_with(clu) if board.key.protocol == "orbit-2021-clu-ve"]
    assert standings([board]) == [{True, False}]
    [row] = [row for row in board.rows if row.standing == SCORED]
    assert set(row.scores) == {"frame_accuracy", "frames_to_recognition", "video_accuracy"}
    assert "3.21 T" in leaderboard_text([board])
    assert "10.59 M" in leaderboard_text([board])


def test_tasks_taken_from_a_results_file_stand_apart_and_say_so():
    derived = ORBIT_TEST.model_copy(
        update={"protocol": "results-2023", "split": "", "data_fingerprint": "", "notes": (UNCHECKED_NOTE,)}
    )
    boards = boards_with(derived)
    assert len(boards[0].rows) == 16
    assert boards[-1].key.protocol == "vtab"
    assert "can't be checked" in leaderboard_text([b for b in boards if b.key.protocol == "results-2023"])


def test_a_column_exists_if_one_row_needs_it():
    key = BoardKey("p", "test", "", "", "every frame", "frame accuracy")
    full = {name: Score(0.5, "50.00", "1.00", "40.00 to 60.00") for name in METRICS}
    accuracy = {"frame_accuracy": Score(0.4, "40.00", "2.00")}

    def heads(*rows):
        (table,) = [line for line in leaderboard_text([Board(key, rows)]).splitlines() if line.startswith("Model")]
        return [head for head in ("Frames to rec", "Bootstrap", "MACs", "Parameters") if head in table]

    rich = Row("a", "x", full, 1e9, 1e6, SCORED, "", "")
    poor = Row("b", "x", accuracy, None, None, SCORED, "", "")
    assert heads(poor) == []
    assert heads(rich, poor) == heads(poor, rich) == ["Frames to rec", "Bootstrap", "MACs", "Parameters"]
    assert key.caption == "p, test: every frame"  # users and tasks are unknown, so they are not mentioned
    assert dataclasses.replace(key, users="U", tasks_per_user="1").caption == "p, test: U, 1 task per user, every frame"


def test_a_scored_row_is_printed_with_two_digits():
    clu = card(protocol="orbit-2021-clu-ve", every=True, tasks=1)
    [row] = [row for board in boards_with(clu) for row in board.rows if row.standing == SCORED]
    for name, found in row.scores.items():
        part = getattr(clu.overall, name).per_video
        assert found.printed == f"{100 * part.mean:.2f}"
        assert found.protocol_interval == f"{100 * part.protocol_interval.half_width:.2f}"
        interval = part.bootstrap_over_users
        assert found.bootstrap == f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def test_csv_holds_every_row_as_fractions():
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(boards_with(ORBIT_TEST)))))
    assert len(rows) == 32
    assert {row["frame_accuracy"] for row in rows if row["standing"] == SCORED} == {"0.7"}
    assert all(0 <= float(row["frame_accuracy"]) <= 1 for row in rows)
    [validation] = [row for row in rows if row["split"] == "validation"]
    assert (validation["frame_accuracy"], validation["macs_to_personalize_thop"]) == ("0.8567", "4780000000000")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.html = [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "html":
            self.html = dict(attributes)
        if tag == "th":
            assert dict(attributes)["scope"] in ("row", "col")
        assert tag not in ("script", "link")


def test_the_page_can_be_read_without_sight():
    boards = leaderboard([("<b>mine</b>\x1b", ORBIT_TEST)])
    text = leaderboard_html(boards)
    page = Page(text)
    assert page.html["lang"] == "en"
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") == page.tags.count("caption") == len(boards)
    assert page.tags.count("h2") == 1 + len(boards)  # the notes on reading come first
    assert "<b>" not in text
    assert "&lt;b&gt;mine&lt;/b&gt;\\x1b" in text
    assert not re.search(r'(src|href)="http', text)


def test_text_and_markdown_hold_every_row():
    boards = boards_with(ORBIT_TEST)
    text, page = leaderboard_text(boards), leaderboard_markdown(boards)
    for row in (row for board in boards for row in board.rows):
        assert row.scores["frame_accuracy"].printed in text
        assert row.scores["frame_accuracy"].printed in page
    assert page.count("\n## ") == 1 + len(boards)
    assert all(len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1 for block in tables(page))


def test_numbers_stand_to_the_right_also_where_one_is_missing():
    board = leaderboard()[2]
    lines = leaderboard_text([board]).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(board.key.caption))
    column = lines[start + 1].index("Protocol's") + len("Protocol's ±") - 1  # its last character
    cells = [line[: column + 1].split()[-1] for line in lines[start + 2 : start + 2 + len(board.rows)]]
    assert cells == ["-", "1.86", "-", "-", "-", "-"]


def tables(page):
    for block in page.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            yield lines
