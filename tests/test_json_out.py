"""`--json -` of the verbs that print tables: standard output is JSON alone; the tables go to standard error."""

import json
from argparse import ArgumentParser

import pytest

from groundwork.options import leaf_parsers
from orbit_lite.cli.parser import _parser, main

WITH_JSON = {"score", "compare", "leaderboard", "evaluate", "prep summarize", "prep quality", "recognize", "check-user"}


def test_the_verbs_that_have_it():
    def has(parser: ArgumentParser) -> bool:
        return any("--json" in action.option_strings for action in parser._actions)

    found = {parser.prog.removeprefix("orbit-lite ") for parser in leaf_parsers(_parser()) if has(parser)}
    assert found == WITH_JSON


@pytest.mark.parametrize(
    ("verb", "key"),
    [
        (["prep", "summarize"], "counts"),
        (["prep", "quality"], "videos"),
        (["leaderboard"], "boards"),
    ],
)
def test_standard_output_is_json_alone(pocket_frames, capfd, verb, key):
    tree = [] if verb == ["leaderboard"] else [str(pocket_frames)]
    assert main([*verb, *tree, "--json", "-"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)[key]
    assert len(said.err.splitlines()) > 1  # the tables


def test_scores_and_a_comparison_of_two_runs(pocket_frames, tmp_path, capfd):
    for seed in (0, 1):
        words = ["evaluate", "--model", "protonets", "--backbone", "tiny", "--protocol", "orbit-2022"]
        words += ["--data", str(pocket_frames), "--out", str(tmp_path / str(seed)), "--tasks-per-user", "1"]
        assert main([*words, "--workers", "0", "--json", "-"]) == 0
        card = json.loads(capfd.readouterr().out)
        assert card == json.loads((tmp_path / str(seed) / "scorecard.json").read_text())
    assert main(["compare", str(tmp_path / "0"), str(tmp_path / "1"), "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["protocol"] == "orbit-2022"
