"""A participant withdraws while their videos are in use: nothing is written after the removal."""

import argparse
import shutil

import pytest

from data_prep.video import is_video_file
from groundwork.errors import UsageError
from groundwork.use import exclusive_use
from orbit_lite.cli import parser
from orbit_lite.forgetting.participant import forget_participant, plan_forget_participant
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.teaching import personalize as personalizing
from orbit_lite.studio import teaching, trying
from orbit_lite.studio.study import Gone, Study
from orbit_lite.studio.teaching import Teacher

TINY = Teacher(ModelChoice("protonets", "tiny", "random"), workers=0)
FILE = "study/P01/results/P01.safetensors"
# each uses P01's videos or recognizer
COMMANDS = {
    "personalize": ["personalize", "--videos", "study/P01", "--out", FILE],
    "personalize elsewhere": ["personalize", "--videos", "study/P01", "--out", "other/a.safetensors"],
    "personalize several": ["personalize", "--videos", "study/P01", "study/P02", "--out", "other"],
    "update": ["personalize", "--update", FILE, "--videos", "study/P02"],
    "update a copy": ["personalize", "--update", "copy.safetensors", "--videos", "study/P02", "--out", "b.safetensors"],
    "rename": ["personalize", "--update", FILE, "--rename", "a=b", "--out", "other/b.safetensors"],
    "check": ["check-user", "study/P01", "--out", "study/P01/results/check"],
    "check of a file": ["check-user", FILE, "--out", "checked"],
    "check of another into their folder": ["check-user", "study/P02", "--out", "study/P01/results/check"],
    "recognize": ["recognize", "--model", FILE, "study/P02", "--json", "answers.json"],
    "export": ["export", FILE, "--out", "P01.onnx"],
    "evaluate": ["evaluate", "--model", FILE, "--data", "other", "--protocol", "own-videos", "--out", "run"],
    "evaluate all": ["evaluate", "--model", "ridge", "--data", "study", "--protocol", "own-videos", "--out", "run"],
}


@pytest.fixture
def study(taught_study, tmp_path, monkeypatch):
    shutil.copytree(taught_study, tmp_path / "study")
    shutil.copytree(tmp_path / "study/P01", tmp_path / "study/P02", ignore=shutil.ignore_patterns("results"))
    shutil.copy(tmp_path / FILE, tmp_path / "copy.safetensors")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "study"


@pytest.fixture
def client(serve, study):
    with serve(study) as client:
        yield client.let_in()


def withdraw(study):
    return forget_participant("P01", [study.parent])


def require_refused(study):
    """Check that nothing is removed and the message says why."""
    before = sorted(path for path in study.rglob("*") if path.is_file() and "~" not in path.name)
    with pytest.raises(UsageError, match="another command is using it; nothing was changed"):
        withdraw(study)
    assert sorted(path for path in study.rglob("*") if path.is_file() and "~" not in path.name) == before


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_nobody_is_forgotten_while_a_command_is_running(study, command, monkeypatch):
    done = []

    def work(options):
        require_refused(study)
        done.append(options)

    monkeypatch.setattr(parser, "run_verb", work)
    assert parser.main(command) == 0 and done
    assert withdraw(study).remaining == () and not (study / "P01").exists()


def test_every_verb_on_a_participants_folder_or_file_locks_it():
    (verbs,) = (one for one in parser._parser()._actions if isinstance(one, argparse._SubParsersAction))
    for name, verb in verbs.choices.items():
        theirs = any(
            "a personal recognizer, from 'orbit-lite personalize'" in (action.help or "") for action in verb._actions
        )
        theirs |= any(action.metavar == "USER_DIR" for action in verb._actions)
        assert bool(verb.get_default("of_participants")) == (name == "evaluate" or (theirs and name != "forget")), name


def test_no_command_starts_while_somebody_is_forgotten(study, capsys):
    with exclusive_use([study / "P01"]):
        assert parser.main(COMMANDS["personalize elsewhere"]) == 2
    assert "being removed or renamed" in capsys.readouterr().err and not list((study.parent / "other").iterdir())


def test_a_recognizer_is_written_before_its_participant_is_forgotten(study, monkeypatch):
    """Real teaching: the videos have been read, but the recognizer is not written yet."""
    read = personalizing.read_user_videos

    def reading(*given, **options):
        user_videos = read(*given, **options)
        require_refused(study)
        return user_videos

    monkeypatch.setattr(personalizing, "read_user_videos", reading)
    start = ["--model", "protonets", "--backbone", "tiny", "--weights", "random", "--workers", "0"]
    assert parser.main([*COMMANDS["personalize elsewhere"], *start]) == 0
    assert withdraw(study).remaining == ()
    assert not list((study.parent / "other").iterdir()) and not (study / "P01").exists()


def test_files_made_between_the_list_and_the_removal_are_named(study):
    plan = plan_forget_participant("P01", [study.parent])
    shutil.copy(study.parent / FILE, study.parent / "late.safetensors")
    forgotten = plan.carry_out()
    (line,) = forgotten.remaining
    assert "late.safetensors" in line and "run the same command again" in line
    assert withdraw(study).remaining == () and not (study.parent / "late.safetensors").exists()


def test_nobody_is_forgotten_while_the_page_teaches(client, monkeypatch):
    taught = []

    def teach(*given, **options):
        require_refused(client.root)
        taught.append(given)
        return personalizing.personalize(*given, **options)

    monkeypatch.setattr(teaching, "personalize", teach)
    assert client.taught("P01")["state"] == "done" and taught
    assert withdraw(client.root).remaining == () and not (client.root / "P01").exists()
    assert client.ask("GET", "/p/P01")[0] == 404


def test_nobody_is_forgotten_while_files_arrive_or_are_tried(client, monkeypatch):
    thing = next(path for path in sorted((client.root / "P01").iterdir()) if path.name != "results")
    video = next(path for path in sorted(thing.rglob("*")) if is_video_file(path.name)).read_bytes()
    judge, judged, answers = client.studio.intake.judge, [], trying.frame_answers

    def verdict(path):
        require_refused(client.root)
        judged.append(path)
        return type(judge).verdict(judge, path)

    def answered(*given):
        require_refused(client.root)
        yield from answers(*given)

    monkeypatch.setattr(judge, "verdict", verdict)
    monkeypatch.setattr(trying, "frame_answers", answered)
    assert client.upload("p", "P01", "t", thing.name, "videos", files=[("new.mp4", video)])[0]["kept"] and judged
    assert client.upload("p", "P01", "try", files=[("a.mp4", video)])[0]["kept"]
    assert withdraw(client.root).remaining == () and not (client.root / "P01").exists()


def test_the_page_changes_nothing_of_somebody_being_forgotten(client):
    thing = next(path.name for path in sorted((client.root / "P01").iterdir()) if path.name != "results")
    with exclusive_use([client.root / "P01"]):
        job = client.taught("P01")
        assert job["state"] == "failed" and "being renamed or deleted" in job["fault"]
        assert "Nothing was changed" in client.upload("p", "P01", "t", thing, "videos", files=[("a.mp4", b"a")])
        for place in (("p", "P01", "delete"), ("p", "P01", "t", thing, "delete"), ("delete",)):
            assert client.form(*place)[0] == 409
        assert client.form("p", "P01", "rename", name="P09")[0] == 409
        assert client.taught("P02")["state"] == "done"
    assert client.taught("P01")["state"] == "done"


STAGES = ("personalize", "check_user", "write_check", "evaluate_personal")


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_removed_by_hand_during_teaching_stays_removed(study, monkeypatch, stage, first):
    work, root = getattr(teaching, stage), study / "P02"

    def remove(*given, **options):
        if first:
            shutil.rmtree(root)
            return work(*given, **options)
        made = work(*given, **options)
        shutil.rmtree(root)
        return made

    monkeypatch.setattr(teaching, stage, remove)
    with pytest.raises(Gone, match="The participant P02 is no longer here"):
        TINY.teach(Study.open(study), "P02", lambda line: None)
    assert not root.exists()
