"""The report's files: whole, the same twice, readable without sight, and unmoved by hostile names."""

import base64
import csv
import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from eval.metrics import METRICS
from eval.report import write_report
from eval.report.markdown import escaped
from eval.score import score

HOSTILE = {
    "P1": '<script>alert("1")</script>',
    "P22": "$\\frac{a}{$ & | `x` </td> 日本 \x1b[31m\u202egnp",
    "P3": "' onload='x' {title} \n| a | b |",
}
HOSTILE_OBJECT = '"><img src=https://example.org/x.png> *b* ${0}'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What the tests ask of a page: its elements in order, with attributes, and the text of some."""

    def __init__(self, text):
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


@pytest.fixture
def card(task_set, predictions):
    return score(task_set, predictions, provenance={"model": "tiny"})


@pytest.fixture
def hostile_card(task_set, predictions):
    """The same card, every name from outside replaced by one that would steer a page, a table or a terminal."""
    tasks = [
        dataclasses.replace(
            task, user=HOSTILE[task.user], objects=(HOSTILE_OBJECT, *(f"</table>{name}" for name in task.objects[1:]))
        )
        for task in task_set.tasks
    ]
    left_out = [dataclasses.replace(entry, object="<b>", reason="<i>") for entry in task_set.left_out]
    renamed = dataclasses.replace(task_set, tasks=tuple(tasks), left_out=tuple(left_out), protocol="<u>own</u>")
    table = predictions.assign(user=[HOSTILE[user] for user in predictions["user"]])
    return score(renamed, table, provenance={"<em>": "https://example.org/<em>"})


def page_of(card, folder):
    write_report(card, folder)
    return Page((folder / "report.html").read_text())


def test_two_writes_give_the_same_bytes(tmp_path, card, hostile_card):
    for name, scorecard in (("plain", card), ("hostile", hostile_card)):
        write_report(scorecard, tmp_path / name / "a")
        write_report(scorecard, tmp_path / name / "b")
        first, second = ({p.name: p.read_bytes() for p in (tmp_path / name / run).iterdir()} for run in "ab")
        assert first == second
        assert set(first) == {
            "report.html",
            "report.md",
            "accuracy_per_user.svg",
            "overall.csv",
            "per_user.csv",
            "per_task.csv",
            "per_object.csv",
            "per_video.csv",
        }


@pytest.mark.parametrize("kind", ["card", "hostile_card"])
def test_the_page_can_be_read_without_sight(tmp_path, request, kind):
    page = page_of(request.getfixturevalue(kind), tmp_path)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) == len(page.all("main")) == 1
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert len(page.all("table")) == len(page.all("caption")) == len(page.all("thead")) >= 6
    assert all(words.strip() for words in page.words("caption"))
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}
    rows = sum(tag == "tr" for tag, _ in page.elements)
    assert sum(attributes["scope"] == "row" for attributes in page.all("th")) == rows - len(page.all("table"))
    regions = [attributes for attributes in page.all("div") if attributes.get("role") == "region"]
    assert len(regions) == len(page.all("table"))
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)
    labels = [region["aria-label"] for region in regions]
    assert len(set(labels)) == len(labels)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} == set(ids)


def test_the_picture_says_what_it_shows_and_has_its_data_beside_it(tmp_path, card):
    page = page_of(card, tmp_path)
    (image,) = page.all("img")
    best = max(card.per_user, key=lambda row: row.frame_accuracy)
    assert f"{100 * best.frame_accuracy:.1f} % (user {best.user})" in image["alt"]
    assert f"{100 * card.overall.frame_accuracy.per_user.mean:.1f} %" in image["alt"]
    kind, content = image["src"].split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == (tmp_path / "accuracy_per_user.svg").read_bytes()
    assert "per_user.csv" in image["alt"]
    assert page.all("a") == [{"href": "per_user.csv"}]
    assert (tmp_path / "per_user.csv").is_file()


@pytest.mark.parametrize("kind", ["card", "hostile_card"])
def test_the_page_needs_no_network_and_runs_nothing(tmp_path, request, kind):
    page = page_of(request.getfixturevalue(kind), tmp_path)
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "style"):
            assert re.match(r"data:image/svg\+xml|per_user\.csv$", attributes.get(name, "per_user.csv"))
    (style,) = page.words("style")
    assert "url(" not in style
    assert "@import" not in style
    picture = ElementTree.fromstring((tmp_path / "accuracy_per_user.svg").read_bytes())
    links = [value for node in picture.iter() for name, value in node.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)


def test_hostile_names_come_out_as_text(tmp_path, hostile_card):
    page = page_of(hostile_card, tmp_path)
    assert len(page.all("img")) == 1
    assert {tag for tag, _ in page.elements} & {"script", "b", "i", "u", "em"} == set()
    names = [words.removeprefix("User ") for words in page.words("h3")]
    spelt = {HOSTILE["P1"], HOSTILE["P22"].replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")}
    assert spelt | {HOSTILE["P3"].replace("\n", "\\n")} == set(names)
    assert HOSTILE_OBJECT in page.words("th")
    assert "<em>" in "".join(page.words("th"))


def test_the_table_of_users_ends_with_their_mean(tmp_path, card):
    page = page_of(card, tmp_path)
    total = [attributes for attributes in page.all("tr") if attributes.get("class") == "total"]
    assert len(total) == 1 + len(card.per_user)  # the users' table, and one of objects for each user
    assert f"{100 * card.overall.frame_accuracy.per_user.mean:.1f}" in page.words("td")
    assert f"{100 * card.overall.frame_accuracy.per_video.mean:.2f}" in page.words("td")


def csv_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csvs_hold_the_scorecards_rows_as_fractions(tmp_path, hostile_card):
    write_report(hostile_card, tmp_path)
    for name in ("per_user", "per_task", "per_object", "per_video"):
        rows = [row.model_dump() for row in getattr(hostile_card, name)]
        assert csv_rows(tmp_path / f"{name}.csv") == [{key: str(value) for key, value in row.items()} for row in rows]
    overall = {(row["metric"], row["mean_over"]): row for row in csv_rows(tmp_path / "overall.csv")}
    assert len(overall) == 2 * len(METRICS)
    headline = hostile_card.overall.frame_accuracy.per_video
    row = overall["frame_accuracy", "per_video"]
    assert float(row["mean"]) == headline.mean
    assert float(row["bootstrap_low"]) == headline.bootstrap_over_users.low


def test_markdown_holds_one_heading_and_whole_tables(tmp_path, hostile_card):
    write_report(hostile_card, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    assert "![" in text
    assert "](accuracy_per_user.svg)" in text
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<", text)
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1
    assert escaped("a|b*c_d<e>") == r"a\|b\*c\_d\<e\>"


def test_a_note_on_samples_stands_in_every_report(tmp_path, make_tasks, make_predictions):
    tasks = make_tasks(every=False)
    sampled = score(tasks, make_predictions(tasks))
    page = page_of(sampled, tmp_path)
    assert sampled.notes[0] in "".join(words for _, words in page.text)
    assert "sample" in (tmp_path / "report.md").read_text()


def test_one_user_and_no_spread_get_a_report_that_says_so(tmp_path, make_tasks, make_predictions):
    tasks = make_tasks(users=("P1",))
    page = page_of(score(tasks, make_predictions(tasks)), tmp_path)
    assert "none: one user" in page.words("td")
    assert "the one user, P1" in page.all("img")[0]["alt"]


def test_a_report_that_cannot_be_written_is_not_there_in_part(tmp_path, card):
    (tmp_path / "run").write_text("a file where the run folder should be")
    with pytest.raises(OSError, match="run"):
        write_report(card, tmp_path / "run")
