"""The check's main numbers for programs: check.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork.files import write_json
from orbit_lite.personal.checking.check import UserCheck

CHECK_JSON = "check.json"
FORMAT = 1


def write_check_json(path: Path, checks: Sequence[UserCheck]) -> None:
    """Write `users`, by name: shares in [0, 1], null for what can't be estimated; whole or not at all."""
    write_json(path, {"format": FORMAT, "users": {check.user: user_numbers(check) for check in checks}})


def user_numbers(check: UserCheck) -> dict[str, Any]:
    """One user's numbers: see `Estimate`, and of the operating point in use `OperatingPoint`."""
    found, point = check.estimate, check.rejection.point
    return {
        "accuracy": found.accuracy,
        "interval": {"low": found.low, "high": found.high},
        "chance": found.chance,
        "same_place_accuracy": found.same_place,
        "ece": found.ece,
        "auroc": check.rejection.auroc,
        "strictness": check.rejection.strictness,
        "misses": point.misses,
        "false_alarms": point.false_alarms,
        "objects": len(check.objects),
        "videos": found.videos,
        "frames": found.frames,
    }
