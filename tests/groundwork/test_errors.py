import errno

import pytest

from groundwork.errors import AskedWrong, FoundWrong, KitError, exit_status


def test_exit_codes_as_the_command_line_promises():
    assert (FoundWrong.exit_code, AskedWrong.exit_code) == (1, 2)
    assert issubclass(FoundWrong, KitError)
    assert issubclass(AskedWrong, KitError)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (FoundWrong("a.mp4: cut off"), 1, "kit: a.mp4: cut off"),
        (AskedWrong("--out is missing"), 2, "kit: --out is missing"),
        (KeyboardInterrupt(), 130, "kit: stopped; nothing was written in part"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 1, "kit: Permission denied: a.csv"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(capsys, error, status, line):
    def work():
        raise error

    assert exit_status("kit", work) == status
    assert capsys.readouterr().err == f"{line}\n"


def test_done_is_silent(capsys):
    assert exit_status("kit", lambda: None) == 0
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_kit_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_status("kit", lambda: 1 / 0)
