"""What every floor needs is written once, in groundwork: a second copy would drift from the first."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("groundwork", "data_prep", "eval", "orbit_lite", "benchmarks")
# By name: the module that defines it for all. A class or function that is named the same is the same.
HOME = {
    "default_workers": "groundwork/cores.py",
    "file_sha256": "groundwork/files.py",
    "Strict": "groundwork/strict_model.py",
    "fault_lines": "groundwork/strict_model.py",
    "first_fault": "groundwork/strict_model.py",
    "counted": "groundwork/words.py",
    "listed": "groundwork/words.py",
    "nearest": "groundwork/words.py",
    "one_line": "groundwork/words.py",
}
# What is written where one of these is made again under another name.
SIGNS = {
    "groundwork/cores.py": r"os\.(sched_getaffinity|process_cpu_count)\b",
    "groundwork/files.py": r"hashlib\.(file_digest\(|sha256\(\w+\.read_bytes\(\))",
    "groundwork/strict_model.py": r"extra=['\"]forbid['\"]|\berror\.errors\(",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


MODULES = dict(modules())


def test_what_has_a_home_is_defined_nowhere_else():
    found = defaultdict(list)
    for place, module in MODULES.items():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in HOME:
                found[node.name].append(place)
    assert found == {name: [place] for name, place in HOME.items()}


@pytest.mark.parametrize(("home", "sign"), SIGNS.items())
def test_nothing_is_made_again_under_another_name(home, sign):
    places = [place for place in MODULES if re.search(sign, (ROOT / place).read_text())]
    assert places == [home]
