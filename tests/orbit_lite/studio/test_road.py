"""All steps with forms only, as in a browser without scripts: the page's files are the ones that the verbs read."""

import csv
import html
import io
import re

import pytest
import torch

from data_prep.quality.single import Verdict
from eval.formats.records import read_scorecard
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.checking.check_user import check_user
from orbit_lite.personal.checking.numbers import read_check_json, user_numbers
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.personal.teaching.sampling import PROTOCOL
from orbit_lite.studio.routes.thing import SHORT_S, _verdict_sentence


@pytest.fixture(scope="module")
def client(serve, filmed, tmp_path_factory):
    """A study that was filmed and taught through the page."""
    with serve(tmp_path_factory.mktemp("road") / "new" / "study") as client:
        client.let_in()
        assert client.form("participants", name="P01")[0] == 303
        for thing in sorted(filmed.iterdir()):
            assert client.form("p", "P01", "things", name=thing.name)[0] == 303
            for kind in ("clean", "clutter"):
                videos = sorted((thing / kind).iterdir())
                sent = client.upload(
                    *("p", "P01", "t", thing.name, "videos"),
                    files=[(f"{number}.mp4", video.read_bytes()) for number, video in enumerate(videos)],
                    place=kind,
                )
                assert [one["kept"] for one in sent] == [True] * len(videos), sent
                assert all(
                    re.search(r"[2-4] seconds\. Your video .* It is short: film ten", one["said"]) for one in sent
                )
        assert client.taught("P01")["state"] == "done"
        yield client


def test_the_folder_is_a_folder_of_own_videos(client, filmed):
    own = {path.relative_to(client.root / "P01").parent for path in client.root.rglob("*.mp4")}
    assert {path.as_posix() for path in own} == {
        f"{thing.name}/{kind}" for thing in filmed.iterdir() for kind in ("clean", "clutter")
    }
    assert not list(client.root.rglob(".incoming"))


def test_the_recognizer_equals_the_verbs(client, tmp_path):
    out = tmp_path / "P01.safetensors"
    personalize(ModelChoice("protonets", "tiny", "random"), [client.root / "P01"], out, device=torch.device("cpu"))
    by_page, by_verb = load_personal(client.root / "P01/results/P01.safetensors"), load_personal(out)
    assert by_page.user == by_verb.user == "P01"
    assert torch.equal(by_page.support.features, by_verb.support.features)
    assert by_page.calibration == by_verb.calibration


def test_the_check_equals_the_verbs(client):
    check = check_user(client.root / "P01/results/P01.safetensors", None, device=torch.device("cpu"))
    assert read_check_json(client.root / "P01/results/check/check.json") == {"P01": user_numbers(check)}


def test_the_cards_show_the_check_worst_first(client):
    check = check_user(client.root / "P01/results/P01.safetensors", None, device=torch.device("cpu"))
    page = html.unescape(client.page("p", "P01"))
    cards = re.findall(r'<li class="card">\s*<h3>([^<]+)</h3>\s*<p class="headline"><strong>([^<]+)</strong>', page)
    expected = [(thing.object, f"{thing.recognized} of {len(thing.held_out)}") for thing in check.worst_first]
    assert sorted(cards) == sorted(expected)
    right = [thing.accuracy for name, _ in cards for thing in check.objects if thing.object == name]
    assert right == sorted(right)
    for thing in check.objects:
        assert thing.advice.text in page


def test_the_table_has_the_tests_accuracy(client):
    rows = list(csv.DictReader(io.StringIO(client.page("study.csv"))))
    card = read_scorecard(client.root / "P01/results/test/scorecard.json")
    assert card.protocol == PROTOCOL
    assert {row["thing"]: float(row["test_accuracy"]) for row in rows} == {
        row.object: pytest.approx(row.frame_accuracy) for row in card.per_object
    }
    assert {(row["participant"], row["videos"], row["test_videos"]) for row in rows} == {("P01", "2", "1")}


def test_a_video_is_tried_and_its_answers_are_kept(client, filmed):
    video = next((sorted(filmed.iterdir())[0] / "clutter").iterdir())
    (sent,) = client.upload("p", "P01", "try", files=[("kitchen.mp4", video.read_bytes())])
    assert sent["kept"] and sent["said"]
    answers = client.root / "P01/results/answers"
    assert sorted(path.name for path in answers.iterdir()) == ["kitchen.csv", "kitchen.json"]
    assert "kitchen.mp4</p>" in client.page("p", "P01", "try")
    assert not list(client.root.rglob("kitchen.mp4"))


def test_reports_are_shown_with_their_own_style_alone(client):
    for place in ("/report", "/p/P01/report/check/", "/p/P01/report/test/"):
        status, headers, text = client.ask("GET", place)
        assert status == 200 and text.startswith("<!DOCTYPE html>")
        policy = headers["content-security-policy"]
        assert "style-src 'sha256-" in policy and "unsafe" not in policy
        back = ("/p/P01", "P01") if "P01" in place else ("/", "Study")
        assert '<a href="{}">Back to {}</a>'.format(*back) in text
    assert client.page("p", "P01", "report", "check", "check_objects.csv").startswith("object,videos")


def test_only_short_videos_are_reported_as_short():
    def output(frames, **options):
        return _verdict_sentence(Verdict(frames, ()), **options)

    assert output(int(30 * SHORT_S) - 1, photo=False).endswith(
        "It is short: film ten to twenty seconds, from all sides."
    )
    assert "short" not in output(int(30 * SHORT_S), photo=False)
    assert "short" not in output(1, photo=True)
