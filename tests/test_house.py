"""The house: imports go one way, the command answers at once, and the wheel is whole."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"groundwork", "data_prep", "eval", "orbit_lite"}
HEAVY = {"torch", "torchvision", "timm"}
FOR_TESTS = {"hypothesis", "pytest"}  # what users do not have
READERS = {"decord", "torchcodec"}  # loaded where they are used, by their adapters alone
# The one place of data_prep that loads torch, for torchcodec is built on it: in a worker, where the reader is used
LOADS_TORCH = "data_prep/video/readers/by_torchcodec.py"
MAY_NOT = {
    "groundwork": (FLOORS | HEAVY | {"pandas", "cv2"}) - {"groundwork"},
    "data_prep": {"eval", "orbit_lite"} | HEAVY,
    "eval": {"data_prep", "orbit_lite", "cv2", "av"} | HEAVY,
    "orbit_lite": set(),
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found | loaded(path)


def loaded(path: Path) -> set[str]:
    """What a module loads by name, with `import_module`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    named = [node.args[0] for node in calls if ast.unparse(node.func).endswith(("import_module", "__import__"))]
    return {str(name.value).split(".")[0] for name in named if isinstance(name, ast.Constant)}


@pytest.mark.parametrize("floor", sorted(FLOORS))
def test_imports_go_one_way(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    wrong = {path.relative_to(ROOT).as_posix(): imports(path) & (MAY_NOT[floor] | FOR_TESTS) for path in files}
    allowed = {LOADS_TORCH: {"torch"}} if floor == "data_prep" else {}
    assert {path: names for path, names in wrong.items() if names} == allowed


def test_readers_are_loaded_by_their_adapters_and_where_they_are_used():
    found = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            if names := imports(path) & READERS:
                found[path.relative_to(ROOT).as_posix()] = names
    assert found == {f"data_prep/video/readers/by_{name}.py": {name} for name in READERS}
    code = (
        "import sys; from data_prep.video.readers import by_decord, by_torchcodec, read_checked; "
        "print({'decord', 'torch', 'torchcodec'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_nothing_outside_models_asks_what_kind_a_part_is():
    """A head's, adapter's or backbone's facts stand in its record: a question by class would miss the next one."""
    wrong = []
    for path in sorted((ROOT / "orbit_lite").rglob("*.py")):
        if "models" in path.relative_to(ROOT).parts:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        imported = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        parts = {
            a.asname or a.name for node in imported if "orbit_lite.models" in (node.module or "") for a in node.names
        }
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
                asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                wrong += [f"{path}:{node.lineno}: {name}" for name in asked & parts]
    assert wrong == []


def test_nothing_says_import_eval():
    """It would hide the builtin; always `from eval.x import y`."""
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] in {*FLOORS, "tests", "benchmarks"}:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.asname or alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                assert "eval" not in names, path


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from orbit_lite.cli.parser import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'pandas', 'numpy', 'pydantic', 'matplotlib', 'argcomplete'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.isascii()  # read aloud by screen readers: no box drawing


def test_timm_and_torchvision_are_imported_only_for_their_networks():
    """Importing them takes seconds, which would be added to the start of every command."""
    code = (
        "import importlib, pkgutil, sys, orbit_lite as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'orbit_lite.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "from orbit_lite.models.choice import ModelChoice\n"
        "ModelChoice('protonets', 'tiny', 'random').load()\n"
        "print(sorted({'timm', 'torchvision', 'sklearn', 'scipy', 'openvino', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_property_has_a_deadline():
    """How long an example takes says something about the machine that runs it."""
    assert settings().deadline is None
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert "deadline=" not in path.read_text() or path == Path(__file__), path


def test_one_reader_of_json_and_one_of_yaml():
    """`json.loads` and PyYAML's loaders take the last of two values for one key, which may be the wrong one."""
    readers = {"groundwork/strict_json.py", "orbit_lite/strict_yaml.py"}
    for floor in (*FLOORS, "benchmarks"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            calls = {
                ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            }
            place = path.relative_to(ROOT).as_posix()
            if place not in readers:
                assert not {call for call in calls if re.fullmatch(r"json\.loads?|yaml\.\w*load\w*", call)}, place
                assert "yaml" not in imports(path), place


def test_types_are_ignored_only_of_packages_that_ship_none():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (ignored,) = [entry["module"] for entry in settings if entry.get("ignore_missing_imports")]
    for pattern in ignored:
        package = pattern.removesuffix(".*")
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.origin is not None, package
        assert not (Path(spec.origin).parent / "py.typed").exists(), package


ASKS = "orbit_lite/cli/forget.py"  # before it removes


@pytest.mark.parametrize("floor", sorted(FLOORS))
def test_one_module_prints(floor):
    """`say` and `say_text` spell out what would steer a terminal, and what its encoding does not have. All but the
    command line reports, through `logging` and progress, so that a program that calls it decides what is shown."""
    found = []
    for path in sorted((ROOT / floor).rglob("*.py")):
        if (place := path.relative_to(ROOT).as_posix()) == "groundwork/console.py":
            continue
        command_line = {"cli", "prep"} & set(path.parent.parts) or path.name in (
            "command.py",
            "command_line.py",
            "__main__.py",
        )
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            imported = isinstance(node, ast.ImportFrom) and node.module == "groundwork.console"
            if imported and not command_line and {a.name for a in node.names} & {"say", "say_text"}:
                found.append(f"{place}:{node.lineno} from groundwork.console")
            printed = isinstance(node, ast.Name) and node.id == "print"
            if printed or (name == "input" and place != ASKS):
                found.append(f"{place}:{node.lineno} {name}")
            if isinstance(node, ast.Attribute) and re.fullmatch(r"sys\.std(out|err)\.write(lines)?", ast.unparse(node)):
                found.append(f"{place}:{node.lineno}")
    assert found == []


# Markup of a table, the rule below a Markdown table's heading, and a width to pad to, in `{}` or after `%`.
LAID_OUT = re.compile(r"<table|\|\s*:?-{3,}|^:?-{3,}:?$|\{[^{}]*:(.?[<>^])?[1-9][0-9]*|%-?[1-9][0-9]*s")
PADDED = re.compile(r"(.?[<>^])?[-+ ]?[1-9]")  # a width in an f-string; not 02, which numbers files, or .2f
PADDING = {"ljust", "rjust", "center", "expandtabs", "to_markdown", "to_html", "to_string"}


def layouts(source: str) -> list[str]:
    """What of a module lays out a table by hand."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value] if LAID_OUT.search(node.value) else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PADDING:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            parts = node.format_spec.values  # a width that is computed is in a part of its own
            spec = "".join(part.value if isinstance(part, ast.Constant) else "9" for part in parts)
            found += [ast.unparse(node.value) + spec] if PADDED.match(spec) else []
    return found


def test_tables_are_laid_out_in_one_place():
    """A `Table` of `groundwork.pages` prints itself as text, Markdown, HTML and CSV, alike everywhere."""
    for floor in (*FLOORS, "benchmarks"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            place = path.relative_to(ROOT)
            if place.parts[:2] != ("groundwork", "pages"):
                assert layouts(path.read_text()) == [], f"{place}: use groundwork.pages.table.Table"


BY_HAND = (
    "f'<table>{rows}</table>'",
    "'| --- | ---: |'",
    "['---'] * 4",
    "'|---|'",
    "name.ljust(12)",
    "frame.to_markdown()",
    "f'{name:12}{about}'",
    "f'{name:<{first}}'",
    "f'{count:>8,}'",
    "'{:>10}'.format(x)",
    "'%-20s' % name",
)
NOT_BY_HAND = ("f'{share:.1f} %'", "f'{number:05}'", "f'{count:,}'", "r'[0-9]{3}'", "'a - b'")


def test_a_table_laid_out_by_hand_is_found_and_a_number_in_words_is_none():
    assert [line for line in (*BY_HAND, *NOT_BY_HAND) if layouts(line)] == [*BY_HAND]


def test_a_logged_message_is_one_line():
    """A newline in one is printed as two characters, since it may come from a file's name."""
    code = [
        path for floor in ("data_prep", "eval", "groundwork", "orbit_lite") for path in (ROOT / floor).rglob("*.py")
    ]
    several = re.compile(r'_LOG\.\w+\(\s*f?"[^"]*\\n')
    assert not [str(path) for path in code if several.search(path.read_text(encoding="utf-8"))]


def test_a_name_of_a_module_has_one_meaning():
    """A constant that is set twice at the top of a file has its last value everywhere in it, also further up."""
    twice = {}
    code = [path for folder in (*FLOORS, "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    for path in sorted(code):
        names = Counter(
            target.id
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        )
        if repeated := sorted(name for name, count in names.items() if count > 1):
            twice[path.relative_to(ROOT).as_posix()] = repeated
    assert twice == {}


_BRITISH = re.compile(
    r"colour|grey|centre|neighbour|licence|(recogn|personal|normal|optim|summar)is(e|i|a)", re.IGNORECASE
)
# ORBIT's published key; keys and files of this kit's earlier releases, which are still read
_OTHERS = re.compile(r'task_macs_to_personalise|(seconds|macs)?_(to_)?personalise\b|"colour\W')
_ABOUT_SPELLING = (  # these are about the British forms of verbs
    *("groundwork/command_line.py", "tests/groundwork/test_command_line.py", "tests/orbit_lite/cli/test_parser.py"),
    *("tests/test_house.py", "CHANGELOG.md"),
)
_TEXT = (".py", ".md", ".yaml", ".yml", ".toml", ".html", ".css", ".js", ".json", ".ipynb")


def test_one_spelling():
    """American, in code, messages and docs; see CONTRIBUTING."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = []
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.suffix in _TEXT and name not in _ABOUT_SPELLING and path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                found += [f"{name}:{number}: {word[0]}" for word in _BRITISH.finditer(_OTHERS.sub("", line))]
    assert not found
