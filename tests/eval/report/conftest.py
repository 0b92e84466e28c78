"""Scorecards and pages for the report's tests: a simple one, one with everything, and one with hostile names."""

import dataclasses
import io
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from eval.by_annotation import AnnotationFacts
from eval.formats.records import Scorecard, TaskSet
from eval.formats.scorecard import Cost, TaskCost
from eval.report import PredictedTasks, write_report
from eval.score import score

HOSTILE = {
    "P1": '<script>alert("1")</script>',
    "P22": "$\\frac{a}{$ & | `x` </td> 日本 \x1b[31m\u202egnp",
    "P3": "' onload='x' {title} \n| a | b |",
    "P4": "=1+1",
}
HOSTILE_OBJECT = '"><img src=https://example.org/x.png> *b* ${0}'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A parsed page: its elements in order, with attributes, and the text of some."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append((self.open[-1] if self.open else "", data))

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    def words(self, tag):
        return [data for inside, data in self.text if inside == tag]

    @property
    def whole_text(self):
        return "".join(data for _, data in self.text)


def _facts(task_set: TaskSet, predictions: pd.DataFrame) -> AnnotationFacts:
    rng = np.random.default_rng(0)
    frames = predictions[["user", "video", "frame"]].drop_duplicates()
    frames = frames.assign(box_share=rng.random(len(frames)) ** 2)
    videos = sorted({(task.user, plan.video) for task in task_set.tasks for plan in task.support})
    support = pd.DataFrame(videos, columns=["user", "video"])
    return AnnotationFacts(frames, support.assign(issue_share=rng.random(len(support))))


def make_jpeg(video: str, frame: int) -> bytes:
    """A real JPEG file, different for each frame."""
    content = io.BytesIO()
    color = ((frame * 37) % 256, len(video) % 256, 90)
    Image.new("RGB", (32, 32), color).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def predicted(task_set, answered) -> PredictedTasks:
    return PredictedTasks(task_set, answered)


@pytest.fixture
def card(task_set, predictions) -> Scorecard:
    return score(task_set, predictions, provenance={"model": "tiny"})


@pytest.fixture
def full_card(task_set, answered, curve_of) -> Scorecard:
    each = [
        TaskCost(user=task.user, task=task.task, macs_to_personalize=macs, seconds_to_personalize=seconds)
        for task, macs, seconds in zip(task_set.tasks, (4 * 10**12, 6 * 10**12), (1, 2), strict=False)
    ]
    cost, curve = Cost.of(each, source="a clock"), curve_of(score(task_set, answered))
    return score(task_set, answered, cost=cost, facts=_facts(task_set, answered), curve=curve)


@pytest.fixture
def hostile(task_set, predictions, with_answers, curve_of) -> tuple[Scorecard, PredictedTasks]:
    """Everything, with all external names replaced by names that could inject markup or control codes."""

    def videos(plans):
        return tuple(dataclasses.replace(plan, video=plan.video + '</svg><script src="x">') for plan in plans)

    tasks = tuple(
        dataclasses.replace(
            task,
            user=HOSTILE[task.user],
            objects=(HOSTILE_OBJECT, *(f"</table>{name}" for name in task.objects[1:])),
            support=videos(task.support),
            query=videos(task.query),
        )
        for task in task_set.tasks
    )
    left_out = [dataclasses.replace(entry, object="<b>", reason="<i>") for entry in task_set.left_out]
    renamed = dataclasses.replace(task_set, tasks=tasks, left_out=tuple(left_out), protocol="<u>own</u>")
    table = predictions.assign(
        user=[HOSTILE[user] for user in predictions["user"]],
        video=predictions["video"] + '</svg><script src="x">',
    )
    cost = Cost.of([TaskCost(user="<marquee>", task=0, seconds_to_personalize=1)], source="<marquee>")
    table = with_answers(renamed, table)
    curve = curve_of(score(renamed, table)).model_copy(update={"strictness": "<blink>"})
    card = score(
        renamed,
        table,
        provenance={"<em>": "https://example.org/<em>"},
        cost=cost,
        facts=_facts(renamed, table),
        curve=curve,
    )
    return card, PredictedTasks(renamed, table)


@pytest.fixture
def hostile_card(hostile) -> Scorecard:
    return hostile[0]


@pytest.fixture
def thumbnails() -> Callable[[str, int], bytes]:
    return make_jpeg


@pytest.fixture
def hostile_names() -> dict[str, str]:
    """The names as a reader should see them; the object's name comes last."""
    spelt = {"\n": "\\n", "\x1b": "\\x1b", "\u202e": "\\u202e"}
    users = {user: "".join(spelt.get(character, character) for character in name) for user, name in HOSTILE.items()}
    return users | {"object": HOSTILE_OBJECT}


@pytest.fixture
def page_of() -> Callable[..., Page]:
    """Write a report into a folder and read its page."""

    def read(card, folder, **options):
        write_report(card, folder, **options)
        return Page((folder / "report.html").read_text())

    return read
