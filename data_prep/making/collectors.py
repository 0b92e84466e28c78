"""Collectors' ids that several people of one household shared: which objects belong to whom, and whether a tree fits.

The file has the form that ORBIT publishes (`orbit_benchmark_users_to_split.json`), with a collector, its new users and
their objects: {"P478": {"P120": ["knitting needle", …], "P160": ["walletv"]}, …}
"""

import re
from collections.abc import Mapping, Set
from pathlib import Path

from data_prep.tree.layout import ANNOTATIONS, SPLITS, nfc
from groundwork.errors import DataError, UsageError
from groundwork.strict_json import parse_json

NewUsers = Mapping[str, Mapping[str, frozenset[str]]]  # collector -> new user -> objects

OTHER = "other"  # the fourth folder of the unfiltered set, next to the splits
LEVELS = (*SPLITS, OTHER)
RESERVED = frozenset({*LEVELS, ANNOTATIONS})  # folders that are not users


def read_new_users(path: Path) -> NewUsers:
    """Read such a file; names are in NFC.

    Raises:
        UsageError: if there is no such file.
        DataError: if it does not have that form, or gives an object or a name to two users.
    """
    try:
        content = parse_json(path.read_bytes(), finite=True)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file; expected the list of users to split that ORBIT publishes with its code"
            " (orbit_benchmark_users_to_split.json)."
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}). Get the file again.") from None
    expected = f"{path}: expected {{collector: {{new user: [objects]}}}}"
    if not isinstance(content, dict) or not all(isinstance(new, dict) and new for new in content.values()):
        raise DataError(f"{expected}, each collector with new users.")
    names = [*content, *(user for new in content.values() for user in new)]
    for name in names:
        if not re.fullmatch(r"\w+", name) or name in RESERVED:
            raise DataError(f"{expected}; {name!r} can't be a user's name (letters and digits).")
        if names.count(name) > 1:
            raise DataError(f"{expected}; {name} appears twice.")
    for old, new in content.items():
        taken: set[str] = set()
        for user, objects in new.items():
            if not isinstance(objects, list) or not objects or not all(isinstance(name, str) for name in objects):
                raise DataError(f"{expected}; {user} has no list of objects.")
            if twice := taken & set(objects):
                raise DataError(f"{expected}; {old}'s {min(twice)} is given to two users.")
            taken |= set(objects)
    return {
        nfc(old): {nfc(user): frozenset(map(nfc, objects)) for user, objects in new.items()}
        for old, new in content.items()
    }


def refuse_misfit(
    tree: Path,
    objects: Mapping[str, Set[str]],
    new_users: NewUsers,
    users_json: Path,
    *,
    leave_out_unnamed: bool = False,
) -> set[tuple[str, str]]:
    """Require that either no collector or every collector is split, and that tree and file name the same objects.

    Args:
        tree: for the message.
        objects: the objects of each user in the tree.
        new_users: the content of `users_json`.
        users_json: for the message.
        leave_out_unnamed: return the objects that the file gives to nobody, instead of raising an error.

    Returns:
        those objects, as (collector, object).

    Raises:
        DataError: names every difference in one message.
    """
    half_done, misfits, waiting, done = [], [], [], []
    unnamed: set[tuple[str, str]] = set()
    for old, new in new_users.items():
        split_off = [user for user in new if user in objects]
        if old in objects and split_off:
            half_done.append(f"it has both {old} and {', '.join(split_off)}")
        elif old in objects:
            waiting.append(old)
            named = frozenset[str]().union(*new.values())
            misfits += [f"{old}/{name} in the file, not in the tree" for name in sorted(named - objects[old])]
            unnamed |= {(old, name) for name in objects[old] - named}
        elif split_off:
            done.append(old)
            lost = [f"{user}/{name}" for user in new for name in sorted(new[user] - objects.get(user, frozenset()))]
            misfits += [f"{place} in the file, not in the tree" for place in lost]
        else:
            misfits.append(f"{old} in the file, but neither it nor {', '.join(new)} in the tree")
    if waiting and done:
        half_done.append(f"{', '.join(done)} split, {', '.join(waiting)} not")
    if not leave_out_unnamed:
        misfits += [f"{old}/{name} in the tree, not in the file" for old, name in sorted(unnamed)]
    if half_done:
        raise DataError(
            f"{tree}: only partly split, so nothing was written: {'; '.join(half_done + misfits)}."
            " Unpack the published archives into a new folder and split that."
        )
    if misfits:
        raise DataError(
            f"{tree}: does not fit {users_json}, so nothing was written: {'; '.join(misfits)}."
            " Complete the tree (all splits and other) or the file. If the file leaves out objects on purpose, add"
            " --leave-out."
        )
    return unnamed
