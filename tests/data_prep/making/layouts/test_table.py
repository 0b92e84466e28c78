from pathlib import Path

import pytest

from data_prep.making.layouts.table import LAYOUTS, layout_named
from groundwork.errors import UsageError
from orbit_lite.cli import options
from orbit_lite.cli.parser import main

DOCS = Path(__file__).parents[4] / "docs"


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'svhn'"):
        layout_named("svnh")


@pytest.mark.parametrize("name", LAYOUTS)
def test_options_that_a_layout_does_not_accept(name, refused, tmp_path):
    layout = LAYOUTS[name]
    if not layout.takes_list:
        refused(name, "can't be used with --list-file", list_file=tmp_path / "list", exit_code=2)
    if layout.needs_list:
        refused(name, "needs --list-file", exit_code=2)
    elif not layout.takes_clutter:
        refused(name, "--clutter-from works only with class folders", clutter_from="test", exit_code=2)


def test_command_line_and_docs_know_every_layout():
    assert tuple(LAYOUTS) == options.LAYOUTS
    for document in ("data-preparation.md", "vtab-md.md"):
        text = (DOCS / document).read_text()
        assert not [name for name in LAYOUTS if name != "folders" and f"`{name}`" not in text], document


def test_the_command_line(source, put, tmp_path):
    put("1.jpg", "2.jpg")
    (tmp_path / "list.csv").write_text("path,class\n1.jpg,x\n2.jpg,y\n")
    command = ["prep", "images", str(source), str(tmp_path / "out"), "--layout", "csv", "--size", "32"]
    assert main([*command, "--list-file", str(tmp_path / "list.csv")]) == 0
    assert main([*command, "--list-file", str(tmp_path / "list.csv")]) == 0  # it resumes
    assert main(command) == 2
