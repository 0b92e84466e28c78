"""The report's files are complete, deterministic, accessible, and safe with hostile names."""

import base64
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from eval.metrics import METRICS
from eval.report import is_report_file, write_report
from eval.report.csvs import CSV_NAMES
from eval.score import score
from groundwork.csv_cells import open_csv
from groundwork.errors import UsageError

ALWAYS = {
    "report.html",
    "report.md",
    "accuracy_per_user.svg",
    "overall.csv",
    "per_user.csv",
    "per_task.csv",
    "per_object.csv",
    "per_video.csv",
    "confusion.csv",
}
SOMETIMES = {"by_annotation.csv", "cost.csv", "cost_per_task.csv", "timelines.csv"}
SOMETIMES |= {"answers_curve.csv", "answers_curve.svg"}
SOMETIMES |= {f"timeline_{number}.svg" for number in range(1, 7)}


@pytest.fixture(params=["plain", "full", "hostile"])
def any_report(request, tmp_path):
    """A report's page: simple, with everything, and with everything and hostile names."""
    page_of, thumbnails = request.getfixturevalue("page_of"), request.getfixturevalue("thumbnails")
    if request.param == "plain":
        return page_of(request.getfixturevalue("card"), tmp_path)
    if request.param == "full":
        options = {"predicted": request.getfixturevalue("predicted"), "thumbnails": thumbnails}
        return page_of(request.getfixturevalue("full_card"), tmp_path, **options)
    card, predicted = request.getfixturevalue("hostile")
    return page_of(card, tmp_path, predicted=predicted, thumbnails=thumbnails)


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_two_writes_give_the_same_bytes(tmp_path, card, hostile, thumbnails):
    hostile_card, predicted = hostile
    everything = {"predicted": predicted, "thumbnails": thumbnails}
    for name, scorecard, options, expected in (
        ("plain", card, {}, ALWAYS),
        ("hostile", hostile_card, everything, ALWAYS | SOMETIMES),
    ):
        write_report(scorecard, tmp_path / name / "a", **options)
        write_report(scorecard, tmp_path / name / "b", **options)
        first, second = ({p.name: p.read_bytes() for p in (tmp_path / name / run).iterdir()} for run in "ab")
        assert first == second
        assert set(first) == expected


def test_every_file_that_is_written_is_known_as_a_reports(tmp_path, full_card, predicted):
    write_report(full_card, tmp_path, predicted=predicted)
    names = {path.name for path in tmp_path.iterdir()}
    assert {name for name in names if is_report_file(name)} == names >= CSV_NAMES | {"report.html", "timeline_1.svg"}
    assert not any(map(is_report_file, ("notes.md", "table.csv", "timeline_x.svg", "run.json")))


def test_what_an_earlier_report_left_goes_and_nothing_else(tmp_path, card, full_card, predicted):
    write_report(full_card, tmp_path, predicted=predicted)
    assert names_in(tmp_path) == ALWAYS | SOMETIMES
    (tmp_path / "timeline_of_mine.svg").write_text("")
    write_report(card, tmp_path)
    assert names_in(tmp_path) == ALWAYS | {"timeline_of_mine.svg"}


def test_the_page_can_be_read_without_sight(any_report):
    page = any_report
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
    charts = [attributes for attributes in page.all("div") if attributes.get("role") == "group"]
    assert len(charts) == sum(image["src"].startswith("data:image/svg") for image in page.all("img")) > 0
    assert all(chart["tabindex"] == "0" and chart["aria-label"] for chart in charts)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} == set(ids)
    links = [attributes["href"] for attributes in page.all("a")]
    assert [link[1:] for link in links if link.startswith("#")] == ids
    assert all(image["alt"] for image in page.all("img"))


def test_every_file_that_the_page_names_is_there(tmp_path, any_report):
    files = [attributes["href"] for attributes in any_report.all("a") if not attributes["href"].startswith("#")]
    assert "per_user.csv" in files
    assert set(files) <= names_in(tmp_path)
    named = re.findall(r"[a-z_]+\.csv", any_report.whole_text)
    assert "confusion.csv" in named
    assert set(named) <= names_in(tmp_path)


def test_the_picture_says_what_it_shows_and_has_its_data_beside_it(tmp_path, card, page_of):
    page = page_of(card, tmp_path)
    (image,) = page.all("img")
    best = max(card.per_user, key=lambda row: row.frame_accuracy)
    assert f"{100 * best.frame_accuracy:.1f} % (user {best.user})" in image["alt"]
    assert f"{100 * card.overall.frame_accuracy.per_user.mean:.1f} %" in image["alt"]
    kind, content = image["src"].split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == (tmp_path / "accuracy_per_user.svg").read_bytes()
    assert "per_user.csv" in image["alt"]


def test_the_page_needs_no_network_and_runs_nothing(tmp_path, any_report):
    page = any_report
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert not {"srcset", "style"} & set(attributes)
    assert all(re.match(r"data:image/(svg\+xml|jpeg);base64,", image["src"]) for image in page.all("img"))
    assert all(re.fullmatch(r"#[a-z-]+|[a-z_]+\.csv", link["href"]) for link in page.all("a"))
    (style,) = page.words("style")
    assert "url(" not in style
    assert "@import" not in style
    for path in tmp_path.glob("*.svg"):
        picture = ElementTree.fromstring(path.read_bytes())
        assert not [node for node in picture.iter() if node.tag.endswith("script")]
        links = [value for node in picture.iter() for name, value in node.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)


def test_hostile_names_come_out_as_text(tmp_path, hostile, hostile_names, page_of):
    card, predicted = hostile
    page = page_of(card, tmp_path, predicted=predicted)
    assert {tag for tag, _ in page.elements} & {"script", "svg", "b", "i", "u", "em", "marquee"} == set()
    users = {hostile_names[user] for user in ("P1", "P22", "P3", "P4")}
    headings = page.words("h3")
    assert users == {words.removeprefix("User ") for words in headings if ": video " not in words}
    assert sum('</svg><script src="x">' in words for words in headings) == 6
    assert hostile_names["object"] in page.words("th")
    assert "<em>" in "".join(page.words("th"))
    assert "<marquee>" in page.whole_text


def test_the_table_of_users_ends_with_their_mean(tmp_path, card, page_of):
    page = page_of(card, tmp_path)
    total = [attributes for attributes in page.all("tr") if attributes.get("class") == "total"]
    assert len(total) == 1 + len(card.per_user)  # the users' table, and one table of objects per user
    assert f"{100 * card.overall.frame_accuracy.per_user.mean:.1f}" in page.words("td")
    assert f"{100 * card.overall.frame_accuracy.per_video.mean:.2f}" in page.words("td")


def test_both_intervals_are_named_with_their_count_and_unit(tmp_path, card, page_of):
    page = page_of(card, tmp_path)
    summary = card.overall.frame_accuracy.per_video
    half, bootstrap = summary.protocol_interval.half_width, summary.bootstrap_over_users
    cells = page.words("td")
    assert f"± {100 * half:.2f}, n = {len(card.per_video)} videos of tasks" in cells
    assert f"{100 * bootstrap.low:.2f} to {100 * bootstrap.high:.2f}, n = 4 users" in cells
    assert {"Protocol's interval", "Bootstrap over users"} <= set(page.words("th"))


@pytest.mark.parametrize("known", [True, False])
def test_cost_and_annotation_are_reported_where_known_and_said_to_be_unknown_where_not(
    tmp_path, card, full_card, page_of, known
):
    page = page_of(full_card if known else card, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert ("5.00 T" in page.words("td")) == ("5.00 T" in text) == known  # the mean of 4 and 6, by hand
    assert bool(re.search(r"\| 5\.00 T \| 1\.00 T \| 2 \|", text)) == known  # mean, deviation, tasks
    assert ("1.50" in page.words("td")) == ("Source: a clock" in page.whole_text) == known
    assert ("was not measured" in page.whole_text) == ("was not measured" in text) == (not known)
    assert ("By annotation" in page.words("h2")) == ("## By annotation" in text) == known
    assert ("below 5 % of the frame" in page.words("th")) == known
    assert any(words.startswith("fewest issues: at most") for words in page.words("th")) == known


def test_confusion_is_in_percent_of_the_objects_frames(tmp_path, card, page_of):
    page = page_of(card, tmp_path)
    confusion = card.confusion[0]
    row = next(row for row in confusion.frames if sum(row))
    cells = [f"{100 * count / sum(row):.1f}" for count in row]
    words = page.words("td")
    assert [str(sum(row)), *cells] in [words[place : place + 1 + len(cells)] for place in range(len(words))]
    kinds = [attributes.get("class", "").split()[1:] for attributes in page.all("td")]
    # right predictions differ from errors, and not only by color
    assert sum("same" in kind for kind in kinds) == sum(any(row) for one in card.confusion for row in one.frames)
    assert all(kind[0].startswith("shade") for kind in kinds if "same" in kind)
    assert any(kind and kind[0].startswith("wrong") for kind in kinds if "same" not in kind)
    (style,) = page.words("style")
    assert all(f".{kind}{level} " in style for kind in ("shade", "wrong") for level in range(5)) and "td.same" in style


def csv_rows(path):
    with open_csv(path) as rows:
        heading, *rest = rows
    return [dict(zip(heading, row, strict=True)) for row in rest]


def test_csvs_hold_the_scorecards_rows_as_fractions(tmp_path, hostile_card):
    write_report(hostile_card, tmp_path)
    for confusion in hostile_card.confusion:
        found = [row for row in csv_rows(tmp_path / "confusion.csv") if row["user"] == confusion.user]
        assert [int(row["frames"]) for row in found] == [count for row in confusion.frames for count in row]
        assert [row["object"] for row in found[:: len(confusion.objects)]] == list(confusion.objects)
        assert [row["predicted_object"] for row in found[: len(confusion.objects)]] == list(confusion.objects)
    groups = {(row["by"], row["group"]): row for row in csv_rows(tmp_path / "by_annotation.csv")}
    for by in ("box_size", "support_quality"):
        for group in getattr(hostile_card.by_annotation, by):
            assert float(groups[by, group.name]["frame_accuracy"]) == group.frame_accuracy
            assert int(groups[by, group.name]["bootstrap_users"]) == group.bootstrap_over_users.n
    for name in ("per_user", "per_task", "per_object", "per_video"):
        rows = [row.model_dump() for row in getattr(hostile_card, name)]
        assert csv_rows(tmp_path / f"{name}.csv") == [{key: str(value) for key, value in row.items()} for row in rows]
    overall = {(row["metric"], row["mean_over"]): row for row in csv_rows(tmp_path / "overall.csv")}
    answers = hostile_card.overall.answers.model_dump()
    assert len(overall) == 2 * len(METRICS) + 2 + len(answers)
    assert float(overall["ece", "per_frame"]["mean"]) == hostile_card.overall.ece
    assert float(overall["chance", "per_task"]["mean"]) == hostile_card.overall.chance
    assert {name: float(overall[f"answers_{name}", "per_video"]["mean"]) for name in answers} == answers
    curve = hostile_card.answers_curve
    rows = csv_rows(tmp_path / "answers_curve.csv")
    assert [float(row["right"]) for row in rows] == [point.answers.right for point in curve.points]
    assert [float(row["false_alarms_promised"]) for row in rows] == [point.false_alarms for point in curve.points]
    assert [place for place, row in enumerate(rows) if row["holds"] == "True"] == [curve.chosen]
    headline = hostile_card.overall.frame_accuracy.per_video
    row = overall["frame_accuracy", "per_video"]
    assert float(row["mean"]) == headline.mean
    assert float(row["bootstrap_low"]) == headline.bootstrap_over_users.low


def test_markdown_holds_one_heading_and_whole_tables(tmp_path, hostile, thumbnails):
    hostile_card, predicted = hostile
    write_report(hostile_card, tmp_path, predicted=predicted, thumbnails=thumbnails)
    text = (tmp_path / "report.md").read_text()
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    assert "![" in text
    pictures = re.findall(r"(?<!\\)\]\((.*?svg)\)", text)
    assert pictures == [
        "answers_curve.svg",
        "accuracy_per_user.svg",
        *(f"timeline_{number}.svg" for number in range(1, 7)),
    ]
    assert set(pictures) <= names_in(tmp_path)
    assert "jpeg" not in text
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<", text)
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1


def test_what_is_of_a_sample_says_so_wherever_it_stands(tmp_path, card, make_tasks, make_predictions, page_of):
    tasks = make_tasks(every=False)
    sampled = score(tasks, make_predictions(tasks))
    page = page_of(sampled, tmp_path / "sampled")
    assert sampled.notes[0] in page.whole_text
    headings = page.words("th")
    assert "Frames to recognition (lower is better; of a sample of frames)" in headings
    assert "Video accuracy (higher is better; of a sample of frames)" in headings
    assert "Frame accuracy (higher is better)" in headings
    captions = [words for words in page.words("caption") if words.startswith("Result per")]
    assert all("of a sample of frames: frames to recognition and video accuracy" in words for words in captions)
    assert "sample" in (tmp_path / "sampled" / "report.md").read_text()
    rows = csv_rows(tmp_path / "sampled" / "overall.csv")
    assert {row["metric"] for row in rows if row["of_a_sample_of_frames"] == "True"} == {
        "frames_to_recognition",
        "video_accuracy",
    }
    assert "of a sample" not in page_of(card, tmp_path / "every").whole_text


def test_one_user_and_no_spread_get_a_report_that_says_so(tmp_path, make_tasks, make_predictions, page_of):
    tasks = make_tasks(users=("P1",))
    page = page_of(score(tasks, make_predictions(tasks)), tmp_path)
    assert "none: one user; at least 4 are needed" in page.words("td")
    assert "the only user, P1" in page.all("img")[0]["alt"]


def test_a_report_that_cannot_be_written_is_not_there_in_part(tmp_path, card):
    (tmp_path / "run").write_text("a file where the run folder should be")
    with pytest.raises(OSError, match="run"):
        write_report(card, tmp_path / "run")


def test_pictures_of_what_was_filmed_are_there_only_when_given_and_the_report_says_so(
    tmp_path, full_card, predicted, thumbnails, page_of
):
    without = page_of(full_card, tmp_path / "without", predicted=predicted)
    assert not any("jpeg" in image["src"] for image in without.all("img"))
    assert "images of people's homes" not in without.whole_text
    asked = []

    def remember(video, frame):
        asked.append((video, frame))
        return thumbnails(video, frame)

    page = page_of(full_card, tmp_path / "with", predicted=predicted, thumbnails=remember)
    shown = [image for image in page.all("img") if image["src"].startswith("data:image/jpeg")]
    assert [base64.b64decode(image["src"].split(",")[1]) for image in shown] == [thumbnails(*place) for place in asked]
    assert len(shown) >= 6
    assert "images of people's homes" in page.whole_text.split("Overall result")[0]
    frames = {(row["video"], int(row["frame"])): row for row in csv_rows(tmp_path / "with" / "timelines.csv")}
    assert set(asked) <= set(frames)
    # they include the first recognition of every timeline
    assert {place for place, row in frames.items() if row["first_recognition"] == "True"} <= set(asked)


def test_thumbnails_or_videos_without_predictions_are_a_usage_error(tmp_path, card, thumbnails):
    for options in ({"thumbnails": thumbnails}, {"videos": ["x"]}):
        with pytest.raises(UsageError, match="need the run's tasks and predictions"):
            write_report(card, tmp_path, **options)
    assert names_in(tmp_path) == set()
