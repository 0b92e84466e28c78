"""Finds a participant in the page that `evaluate --model FOLDER` writes beside the participants' runs."""

import html
from functools import partial
from pathlib import Path

from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.plan import Plan, change_file
from eval.formats.records import read_tasks
from groundwork.errors import KitError
from groundwork.files import write_text
from groundwork.words import listed
from orbit_lite.evaluation.evaluate import TASKS_NAME
from orbit_lite.forgetting.found import Found, changed, removal
from orbit_lite.forgetting.inventory import SeenFolder
from orbit_lite.forgetting.tables import users_of_table
from orbit_lite.personal.evaluating.participants import PAGE_NAME, PAGE_TITLE, PARTICIPANTS_CSV, page_of_runs


def find_evaluation_page(folder: SeenFolder, user: str) -> Found:
    """Plan the change of the page: it is made again from the runs of the other participants. It is removed if there are
    no others, or if one of their runs is missing.

    The table beside the page proves which participants it shows, and loses its rows later. Rows have the names of the
    recognizers' files; if a file of this participant has another name, its rows are reported and left.
    """
    page, table = folder.by_name.get(PAGE_NAME), folder.by_name.get(PARTICIPANTS_CSV)
    if page is None or table is None or PAGE_TITLE not in html.unescape(page.path.read_text(errors="replace")):
        return Found()
    users = list(users_of_table(table.path))
    if renamed := [name for name in users if name != user and _users_of_run(folder.path / name) == {user}]:
        line = f"{table.path} and the files beside it: rows of {listed(renamed)}, a recognizer of {user}; look into it"
        return Found(Plan(left=(line,)))
    if user not in users or not names_user(page.path.read_bytes(), user):
        return Found()
    others = [name for name in users if name != user]
    try:
        if not others:
            return removal(f"{page.path}: only of this participant", folder, [page])
        page_of_runs(folder.path, others)
    except KitError as error:
        return removal(f"{page.path}: all of it, because it can't be made again without them: {error}", folder, [page])
    line = f"{page.path}: their rows; it is made again without them"
    change = change_file(line, folder.root, page.place, partial(_write, page.path, others))
    return Found(changed(change), files=frozenset([page.path]))


def _users_of_run(run: Path) -> set[str]:
    try:
        return {task.user for task in read_tasks(run / TASKS_NAME).tasks}
    except KitError:
        return set()


def _write(page: Path, others: list[str]) -> bool:
    write_text(page, page_of_runs(page.parent, others))
    return True
