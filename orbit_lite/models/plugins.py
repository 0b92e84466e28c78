"""Parts that installed packages add: heads, backbones and learners, by name, through entry points.

A package's metadata says which names it has; nothing of it is imported until one of them is asked for. So a broken
package is an error where its name is used, and nowhere else. A name that is taken, by the kit or by another package, is
refused: what a config or a checkpoint means must not hang on what else is installed.
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
    """One kind of part: what it is called, and the group of entry points that add to it."""

    name: str
    group: str

    def added(self) -> list[str]:
        """Names that installed packages add, sorted; those that can't be used, too."""
        return sorted(self._offers())

    def find(
        self, name: str, builtin: Mapping[str, PartT], *, expected: type[PartT], hint: str = "", more: str = ""
    ) -> PartT:
        """A built-in record, or one that an installed package adds.

        Args:
            name: what is asked for.
            builtin: the kit's own table.
            expected: the class of a record.
            hint: what to say of an unknown name that is near none.
            more: what there is beside the known names.

        Raises:
            UsageError: if the name is unknown (says which are near), is taken twice, or its package is broken.
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
            raise UsageError(f"{where} calls itself {own!r}; its record and its entry point must have one name")
        return record

    def refuse_taken(self, name: str) -> None:
        """Refuse a built-in name that an installed package has, too.

        Raises:
            UsageError: names the package.
        """
        if offers := self._offers().get(name):
            packages = _packages(offers)
            raise UsageError(f"{self.name} {name!r} is built in, and {packages} adds one of that name; uninstall it")

    def load(self, name: str) -> tuple[Any, str]:
        """What an installed package has under a name, and words that say what and where it is.

        Raises:
            UsageError: if two packages have the name, or it can't be imported; says why, in one line.
        """
        offers = self._offers()[name]
        where = f"{self.name} {name!r} of {_packages(offers)}"
        if len(offers) > 1:
            raise UsageError(f"{where}: two packages have the name; uninstall one")
        try:
            return offers[0].load(), where
        except (Exception, SystemExit) as error:  # a package may raise whatever it likes while it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise UsageError(f"{where} can't be imported ({reason})") from None

    def _offers(self) -> Mapping[str, list[EntryPoint]]:
        return _offers(self.group, tuple(sys.path))


HEAD = PartKind("head", "orbit_lite.heads")
BACKBONE = PartKind("backbone", "orbit_lite.backbones")
LEARNER = PartKind("learner", "orbit_lite.learners")


@cache
def _offers(group: str, path: tuple[str, ...]) -> Mapping[str, list[EntryPoint]]:
    """By name. path: where packages are looked for; another one has other packages."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        found.setdefault(entry.name, []).append(entry)
    return found


def _packages(offers: list[EntryPoint]) -> str:
    named = [f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package" for entry in offers]
    return " and ".join(named)
