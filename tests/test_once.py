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
# What would be written to make one of these again under another name, and the modules that may.
SIGNS = {
    r"os\.(cpu_count|process_cpu_count|sched_getaffinity)\b": {
        "groundwork/cores.py",
        "benchmarks/record.py",  # what the machine has, whether or not it may be used
    },
    r"hashlib\.(file_digest\(|sha256\(\w+\.read_bytes\(\))": {"groundwork/files.py"},
    r"csv\.(Dict)?([rR]eader|[wW]riter)\b": {"groundwork/csv_cells.py"},
    r"\.to_csv\(": {"eval/report/csvs.py"},  # of cells made safe
    r"extra=['\"]forbid['\"]|\berror\.errors\(": {"groundwork/strict_model.py"},
}
LONG_ENOUGH = 60  # characters of a function's body: shorter ones may well be alike by chance


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


MODULES = dict(modules())


def text(node: ast.expr) -> str:
    """A string or an f-string, with {} for each value in it and for a leading 1; "" if it is neither."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    found = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return re.sub(r"^1(?= )", "{}", found)


def is_one(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value == 1


def body_of(function: ast.FunctionDef) -> str:
    """A function's statements without its docstring, whatever it calls its parameters."""
    parameters = [argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
    renamed = {name: f"parameter_{number}" for number, name in enumerate(parameters)}
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    lines = "\n".join(ast.unparse(statement) for statement in statements)
    return re.sub(r"(?<![\w.'\"])[a-z_]\w*", lambda word: renamed.get(word[0], word[0]), lines)


def test_what_has_a_home_is_defined_nowhere_else():
    found = defaultdict(list)
    for place, module in MODULES.items():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in HOME:
                found[node.name].append(place)
    assert found == {name: [place] for name, place in HOME.items()}


@pytest.mark.parametrize(("sign", "places"), SIGNS.items())
def test_nothing_is_made_again_under_another_name(sign, places):
    assert {place for place in MODULES if re.search(sign, (ROOT / place).read_text())} == places


def test_a_number_and_its_noun_are_put_together_in_one_place():
    """`"user" if n == 1 else "users"` is `counted(n, "user")`."""
    wrong = []
    for place, module in MODULES.items():
        for node in ast.walk(module):
            if isinstance(node, ast.IfExp) and place != HOME["counted"]:
                one, several = sorted((text(node.body), text(node.orelse)), key=len)
                if f"{one}s" == several and any(map(is_one, ast.walk(node.test))):
                    wrong.append(f"{place}:{node.lineno}")
    assert wrong == []


def test_no_function_is_written_twice():
    found = defaultdict(list)
    for place, module in MODULES.items():
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and len(body := body_of(node)) >= LONG_ENOUGH:
                found[body].append(f"{place}:{node.lineno} {node.name}")
    assert {body: places for body, places in found.items() if len(places) > 1} == {}
