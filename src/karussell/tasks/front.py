"""How a task stands at the front door: from files to a model, to its scores, to its answers.

The command line knows nothing of a task but its `Front`; `karussell.tasks.fronts` has one for each.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from karussell.tasks.config import from_json, to_json
from karussell.train import Progress

Config = TypeVar("Config")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What was asked for: data as paths, and the settings that a person gave, nested as the dataclasses are."""

    data: str
    valid: str | None
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    say: Say = print
    progress: Progress | None = None


@dataclass(frozen=True)
class Front:
    """One task for people.

    train     the whole of it: read, fit, score beside the floor, report; gives result.json
    evaluate  a model folder, data, rows before it (or None), a device, who hears of repairs: the evaluation
    predict   a model folder, files, a device, whether as JSON, who hears of repairs: lines of text
    unseen    what to write for data to measure on, after `evaluate DIR`; {data} is what was trained on
    """

    name: str
    config: Callable[[], type]
    train: Callable[[Job], dict[str, Any]]
    evaluate: Callable[[Path, str, str | None, str, Say], dict[str, Any]]
    predict: Callable[[Path, Sequence[str], str, bool, Say], Iterator[str]]
    unseen: str = "DATA   # that it has not seen"


def overridden(config: Config, settings: Mapping[str, Any]) -> Config:
    """A configuration with the settings that were given; an unknown name or a wrong type is an InputError."""
    kind: Any = type(config)
    made: Config = from_json(kind, _merged(to_json(config), settings))
    return made


def given_settings(values: Any, kind: type) -> dict[str, Any]:
    """The settings of a dataclass that are not None in parsed arguments: what a person asked for."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(kind):
        value = getattr(values, item.name, None)
        if value is None:
            continue
        if hasattr(value, "__dict__") and not dataclasses.is_dataclass(value):
            inner = {name: part for name, part in vars(value).items() if part is not None}
            found |= {item.name: inner} if inner else {}
        else:
            found[item.name] = value
    return found


def _merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(config)
    for name, value in settings.items():
        inner = found.get(name)
        found[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return found
