"""Lists an experiment's keys with their values and sources, and the built-in experiments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.pages.printing import text_table
from groundwork.pages.table import Table
from orbit_lite.config import builtin_names, configs_folder, find_config, read_yaml
from orbit_lite.models.learner import load_learner
from orbit_lite.training.experiment import load_experiment

DEFAULT, COMMAND_LINE = "default", "command line"


@dataclass(frozen=True)
class KeyRow:
    """One key of an experiment. source: a file, `command line`, or `default`."""

    key: str
    value: Any
    source: str


def experiment_keys(name: str, overrides: Sequence[str] = ()) -> list[KeyRow]:
    """All keys of an experiment as `load_experiment` resolves them, in the order of its record.

    Raises:
        UsageError: see `load_experiment`.
    """
    config = load_experiment(name, overrides).model_dump(mode="json")
    sources = _sources(name)
    for override in overrides:
        key, _, _ = override.partition("=")
        sources = {known: source for known, source in sources.items() if not known.startswith(f"{key}.")}
        sources[key] = COMMAND_LINE
        if key in ("learner", "tasks"):
            sources |= dict.fromkeys(map(".".join, _flat(config[key], (key,))), COMMAND_LINE)
    return [KeyRow(".".join(place), value, _source(place, sources)) for place, value in _flat(config).items()]


def keys_text(keys: Sequence[KeyRow]) -> str:
    """The keys as a table."""
    rows = tuple((one.key, "null" if one.value is None else str(one.value), one.source) for one in keys)
    return text_table(Table("Keys", ("key", "value", "from"), rows))


def experiments_text() -> str:
    """The built-in experiments as a table, each with the first line of its file."""
    return text_table(Table("Built-in experiments", ("name", "about"), tuple(_abouts())))


def _abouts() -> Iterator[tuple[str, str]]:
    for name in builtin_names("experiment"):
        first = (configs_folder() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").split("\n", 1)[0]
        yield name, first.removeprefix("#").strip() if first.startswith("#") else ""


def _sources(name: str) -> dict[str, str]:
    """The file that sets each key."""
    path = find_config(name, "experiment")
    content = read_yaml(path)
    base = content.pop("extends", None)
    found = _sources(base) if isinstance(base, str) else {}
    for key, value in content.items():
        found = {known: source for known, source in found.items() if known != key and not known.startswith(f"{key}.")}
        if key == "learner" and isinstance(value, str):
            learner = load_learner(value).model_dump(exclude_unset=True)
            found |= {".".join(place): f"learner {value}" for place in _flat(learner, (key,))}
        elif key == "tasks" and isinstance(value, str):
            tasks = read_yaml(find_config(value, "protocol"))
            found |= {".".join(place): f"protocol {value}" for place in _flat(tasks, (key,))}
        else:
            found |= {".".join(place): _named(path) for place in _flat({key: value})}
    return found


def _named(path: Path) -> str:
    folder = configs_folder() / "experiment"
    built_in = path.is_relative_to(folder)
    return f"experiment {path.relative_to(folder).with_suffix('').as_posix()}" if built_in else str(path)


def _source(place: tuple[str, ...], sources: dict[str, str]) -> str:
    beginnings = (".".join(place[:length]) for length in range(len(place), 0, -1))
    return next((sources[key] for key in beginnings if key in sources), DEFAULT)


def _flat(value: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict) and value:
        return {key: leaf for name, part in value.items() for key, leaf in _flat(part, (*place, str(name))).items()}
    return {place: value}
