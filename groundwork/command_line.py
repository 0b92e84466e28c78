"""What all command lines of the kit share: -q and -v, "did you mean" hints, exit statuses."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from groundwork.console import Stopped, command_streams, printable_line, say
from groundwork.errors import KitError, UsageError, memory_line, system_line
from groundwork.reporting import Verbosity, reports_shown
from groundwork.targets import STDOUT
from groundwork.words import nearest

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = argparse._SubParsersAction  # not subscriptable when it runs

EXIT_STATUS_HELP = "Exit status: 0 success, 1 data problem, 2 usage error."

TORCH_BYTES = 4_000_000_000  # address space to load PyTorch and recognize a video on two cores; measured
BRITISH = {"personalize": "personalise", "recognize": "recognise", "summarize": "summarise"}  # accepted, not shown

_LOG = logging.getLogger("groundwork")


class CommandParser(argparse.ArgumentParser):
    """A parser that takes -q and -v, and whose verbs' parsers do, too. An unknown verb or option ends it with exit
    status 2 and one line that suggests the nearest known one."""

    def __init__(self, *, allow_abbrev: bool = False, **given: Any) -> None:
        """As in argparse, except for the default of `allow_abbrev`."""
        super().__init__(allow_abbrev=allow_abbrev, **given)
        self.register("action", "parsers", _Verbs)
        shown = self.add_mutually_exclusive_group()
        for short, long, verbosity, text in (
            ("-q", "--quiet", Verbosity.QUIET, "show results and errors only"),
            ("-v", "--verbose", Verbosity.VERBOSE, "show more, for example where an error comes from"),
        ):
            # no default: in a verb's parser it would replace what was given before the verb
            shown.add_argument(
                short,
                long,
                dest="verbosity",
                action="store_const",
                const=verbosity,
                default=argparse.SUPPRESS,
                help=text,
            )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As in argparse, but an unknown option is refused first: it may be why a required one is missing."""
        words = sys.argv[1:] if args is None else list(args)
        if not any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self._refuse_unknown_options(words)
        found: tuple[Any, list[str]] = super().parse_known_args(words, namespace)
        self._refuse_unknown_options(found[1])
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            american = [name for name in action.choices if name not in BRITISH.values()]
            hint = nearest(value, american) or f"; choose from {', '.join(american)}"
            self._refuse(f"no command {value!r}{hint}")
        super()._check_value(action, value)

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        for word in words:
            name = word.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                hint = nearest(name, self._option_string_actions) or f"; '{self.prog} --help' lists them"
                self._refuse(f"no option {name!r}{hint}")

    def error(self, message: str) -> NoReturn:
        """As in argparse, but control characters in the message are escaped."""
        super().error(printable_line(message))

    def _refuse(self, message: str) -> NoReturn:
        self.exit(2, printable_line(f"{self.prog}: {message}") + "\n")


class _Verbs(Subparsers):
    """Verbs, some of which have a second, British spelling that the help does not show."""

    def add_parser(self, name: str, **given: Any) -> argparse.ArgumentParser:
        """As argparse does; a verb without a description of its own gets its line of help as one."""
        line = str(given.get("help") or "")
        parser = super().add_parser(
            name, **{"description": f"{line[:1].upper()}{line[1:]}." if line else None, **given}
        )
        if name in BRITISH:
            self.choices[BRITISH[name]] = parser
        return parser


def run_command(
    program: str,
    options: argparse.Namespace,
    work: Callable[[], object],
    *,
    if_stopped: str = "nothing was written in part",
) -> int:
    """Run a command and show its reports as -q or -v asks; see `exit_status` and `command_streams`."""

    def checked_work() -> None:
        _check_process()
        work()

    with command_streams(), reports_shown(getattr(options, "verbosity", Verbosity.NORMAL)):
        return exit_status(program, checked_work, if_stopped=if_stopped)


def exit_status(program: str, work: Callable[[], object], *, if_stopped: str = "nothing was written in part") -> int:
    """Run a command; print an error that the user can fix, or a system error, as one line on stderr.

    Args:
        program: the name that begins the line.
        work: the command.
        if_stopped: what to say about the state that Ctrl-C leaves.

    Returns:
        0 success, 1 data problem, 2 usage error, 130 stopped by Ctrl-C, 143 and 129 by SIGTERM and SIGHUP.
    """
    try:
        work()
        sys.stdout.flush()  # here, so that a closed pipe or a full disk is still reported as one line
    except KitError as error:
        error.__suppress_context__ = False  # with -v, show the cause that `from None` hides
        _LOG.debug("traceback of the error below:", exc_info=error)
        say(f"{program}: {error}", to=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        say(f"{program}: stopped; {if_stopped}", to=sys.stderr)
        return error.status if isinstance(error, Stopped) else 130
    except BrokenPipeError as error:
        if error.filename in (None, str(STDOUT)):
            _drop_standard_output()
            say(f"{program}: the program that reads standard output has ended", to=sys.stderr)
        else:  # another pipe, named as an output
            say(f"{program}: {system_line(error)}", to=sys.stderr)
        return 1
    except Exception as error:
        line = memory_line(error) or (system_line(error) if isinstance(error, OSError) else "")
        if not line:
            raise
        _LOG.debug("traceback of the error below:", exc_info=error)
        say(f"{program}: {line}", to=sys.stderr)
        return 1
    return 0


def _check_process() -> None:
    """Require a working folder, and warn of a low memory limit: some libraries end the program when they get no memory.

    Raises:
        UsageError: if the working folder was removed.
    """
    if sys.platform != "win32":
        import resource

        limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit_bytes != resource.RLIM_INFINITY and limit_bytes < TORCH_BYTES:
            _LOG.warning(
                "note: address space is limited to %.1f GB (ulimit -v); PyTorch needs about %.0f GB",
                *(limit_bytes / 1e9, TORCH_BYTES / 1e9),
            )
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the working folder no longer exists; change to another one (cd) and try again") from None


def _drop_standard_output() -> None:
    """Discard what could not be written: Python would try to write it again at exit, and complain."""
    with suppress(OSError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
