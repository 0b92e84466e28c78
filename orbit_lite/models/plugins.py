"""Heads, backbones and learners that installed packages add through entry points.

A package's metadata lists its names; the package is only imported when one of them is used. So a broken package is an
error only where its name is used. A name that the kit or another package already uses is refused: the meaning of a
config or checkpoint must not depend on what else is installed.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from groundwork.errors import UsageError
from groundwork.words import nearest

PartT = TypeVar("PartT")


@dataclass(frozen=True)
class PartKind:
    """One kind of part: its name, and the entry point group that adds to it."""

    name: str
    group: str

    def added(self) -> list[str]:
        """The names that installed packages add, sorted, including those that can't be used."""
        return sorted(self._offers())

    def find(
        self, name: str, builtin: Mapping[str, PartT], *, expected: type[PartT], hint: str = "", more: str = ""
    ) -> PartT:
        """Find a built-in record, or one that an installed package adds.

        Args:
            name: the requested name.
            builtin: the kit's own table.
            expected: the class of a record.
            hint: added to the message for an unknown name that is similar to none.
            more: added to the list of known names in the message.

        Raises:
            UsageError: if the name is unknown (the message lists similar names), is used twice, or its package is
                broken.
        """
        if name in builtin:
            self.refuse_taken(name)
            return builtin[name]
        if name not in self._offers():
            known = [*builtin, *self.added()]
            near = nearest(name, known) or hint
            raise UsageError(f"unknown {self.name} {name!r}{near}; known: {', '.join(known)}{more}")
        record, where = self.load(name)
        if not isinstance(record, expected):
            raise UsageError(f"{where} is a {type(record).__name__}; expected a {expected.__name__}")
        if (own := getattr(record, "name", name)) != name:
            raise UsageError(f"{where}: the record's name is {own!r}; record and entry point must have the same name")
        return record

    def refuse_taken(self, name: str) -> None:
        """Check that no installed package uses a built-in name.

        Raises:
            UsageError: otherwise; the message names the package.
        """
        if offers := self._offers().get(name):
            packages = _packages(offers)
            raise UsageError(
                f"{self.name} {name!r} is built in, but {packages} adds another with the same name; uninstall it"
            )

    def load(self, name: str) -> tuple[Any, str]:
        """Load what an installed package has under a name; also returns a description of it for messages.

        Raises:
            UsageError: if two packages use the name, or it can't be imported; the message says why in one line.
        """
        offers = self._offers()[name]
        where = f"{self.name} {name!r} of {_packages(offers)}"
        if len(offers) > 1:
            raise UsageError(f"{where}: two packages use this name; uninstall one")
        try:
            return offers[0].load(), where
        except (Exception, SystemExit) as error:  # a package may raise any error while it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise UsageError(f"{where} can't be imported ({reason})") from None

    def _offers(self) -> Mapping[str, list[EntryPoint]]:
        return _offers(self.group, tuple(sys.path))


HEAD = PartKind("head", "orbit_lite.heads")
BACKBONE = PartKind("backbone", "orbit_lite.backbones")
LEARNER = PartKind("learner", "orbit_lite.learners")


@cache
def _offers(group: str, path: tuple[str, ...]) -> Mapping[str, list[EntryPoint]]:
    """Entry points by name. path: sys.path as a tuple, so that the cache depends on it."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        found.setdefault(entry.name, []).append(entry)
    return found


def _packages(offers: list[EntryPoint]) -> str:
    named = [f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package" for entry in offers]
    return " and ".join(named)
