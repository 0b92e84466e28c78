"""The files that a code host reads (workflows, templates) agree with pyproject.toml and the Makefile. Nothing runs them
here."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = [path for path in FILES if path.parent.name == "workflows"]
# The options of a step that are read here; another one would be a slip of the pen
STEP_KEYS = {"name", "uses", "with", "run", "if", "shell"}


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(name: str) -> dict[str, dict]:
    return read(ROOT / ".github" / "workflows" / name)["jobs"]


def commands(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def recipes() -> dict[str, list[str]]:
    """The commands of each target of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^([\w$().-]+):.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return {target: [" ".join(line.split()) for line in lines.splitlines()] for target, lines in found}


def test_the_matrix_has_the_python_versions_of_the_classifiers_and_three_systems():
    matrix = jobs("ci.yml")["tests"]["strategy"]["matrix"]
    stated = [found[1] for line in PROJECT["classifiers"] if (found := re.fullmatch(r".* :: Python :: (3\.\d+)", line))]
    assert matrix["python"] == stated
    assert PROJECT["requires-python"] == f">={stated[0]}"
    assert [name.split("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]


def test_ci_runs_what_a_developer_runs():
    targets = recipes()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    job = jobs("ci.yml")["tests"]
    (call,) = [step["run"] for step in job["steps"] if step.get("run", "").startswith(".ci/run")]
    assert 'make "${1:-test}"' in script
    named = {*re.findall(r"^make (\w+)", script, re.MULTILINE), *re.findall(r"'(\w+)'(?= \|\|| }})", call)}
    assert named == {"check", "test", "coverage"}
    assert named <= targets.keys()
    makes_environment = [line for line in targets["$(READY)"] if "install" in line and "echo" not in line]
    unix = [*makes_environment, *targets["check"], *targets["test"]]
    windows = [line.replace("$(VENV)/bin/", ".venv/Scripts/") for line in unix]
    (step,) = [step for step in job["steps"] if step.get("if") == "runner.os == 'Windows'"]
    assert step["run"].splitlines() == ["python -m venv .venv", *windows]


def test_extras_and_make_targets_that_are_named_exist():
    extras, targets = PROJECT["optional-dependencies"], recipes()
    texts = [*WORKFLOWS, ROOT / ".ci" / "run", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile"]
    named = 0
    for path in [*texts, ROOT / ".github" / "pull_request_template.md"]:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"(?:orbit-lite|'\.|\.)\[([\w,-]+)\]", text)
        assert {extra for group in found for extra in group.split(",")} <= extras.keys(), path
        made = re.findall(r"(?:^|[`+])make ([a-z-]+)", text, re.MULTILINE)
        assert {*made} <= targets.keys(), path
        named += len(found) + len(made)
    assert named > 10


def test_what_is_published_was_built_and_tried_first_and_signs_in_without_a_password():
    both = jobs("publish.yml")
    assert both["publish"]["needs"] == "build"
    assert both["publish"]["permissions"] == {"id-token": "write"}
    assert read(ROOT / ".github/workflows/publish.yml")[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1: `on` is True
    lines = commands(both["build"])
    places = [
        lines.index(part) for part in ("GITHUB_REF_NAME", "hatchling build", "-m venv", "dist/*.whl", "--version")
    ]
    assert places == sorted(places)
    assert "secrets." not in "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_steps_are_whole_and_actions_have_a_version(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert step.keys() <= STEP_KEYS
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"(actions|pypa)/[\w-]+@(v\d+|release/v\d+)", step.get("uses", "actions/none@v1"))


def test_a_bug_report_asks_for_the_version_and_the_line_and_warns_of_videos():
    form = read(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml")
    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert {"version", "printed"} <= required
    (version,) = [part for part in form["body"] if part.get("id") == "version"]
    assert "orbit-lite --version" in version["attributes"]["description"]
    first = form["body"][0]
    assert first["type"] == "markdown"
    assert "Do not attach videos" in first["attributes"]["value"]
    (privacy,) = [part for part in form["body"] if part.get("id") == "private"]
    assert privacy["attributes"]["options"][0]["required"] is True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_address_of_a_host_is_in_them(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\b[\w-]+\.(org|com|io|net)\b", text)
