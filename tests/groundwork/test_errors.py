from groundwork.errors import AskedWrong, FoundWrong, KitError


def test_exit_codes_as_the_command_line_promises():
    assert (FoundWrong.exit_code, AskedWrong.exit_code) == (1, 2)
    assert issubclass(FoundWrong, KitError)
    assert issubclass(AskedWrong, KitError)
