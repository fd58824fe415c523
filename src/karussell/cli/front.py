"""`karussell train` for every task with a front: its options, what it prints, and how the task is chosen."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import note
from karussell.cli.options import add_fields, default_of, field_help
from karussell.cli.words import opening
from karussell.errors import InputError

TRANSCRIBE = "transcribe"
# options that are wanted most have a second, short name
SHORT = {
    "train": {"epochs": "--epochs", "learning_rate": "--learning_rate", "seed": "--seed", "device": "--device"},
    "network": {"hidden": "--hidden", "layers": "--layers"},
}
# options without a value: what follows them may be the data
_SWITCHES = ("--resume", "--overwrite", "--leave_one_out")


def chosen_task(words: Sequence[str]) -> str:
    """The task that the words of `karussell train` ask for: --task, or else what the data looks like."""
    from karussell.tasks.look import KINDS, look

    given = _values(words)
    task, data = given.get("task"), given.get("data")
    if task is None:
        if data is None:
            return TRANSCRIBE
        return look(data).task
    names = [kind.name for kind in KINDS]
    if task not in names:
        raise InputError(f"there is no task {task!r}; choose one of {', '.join(names)}")
    return task


def add_common(parser: ArgumentParser, data: str) -> None:
    """The arguments that every task has."""
    parser.add_argument("data", type=str, metavar="DATA", help=data)
    parser.add_argument("--out", type=str, required=True, help="folder that becomes the model")
    parser.add_argument("--task", type=str | None, default=None, help="transcribe, forecast, classify or tag")
    parser.add_argument("--budget", type=str | None, default=None, help="time for training, such as 90s, 5m or 1.5h")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument("--overwrite", action="store_true", help="remove the run in the folder and begin again")


def declare_front(parser: ArgumentParser, task: str) -> None:
    """Add the options of a task: the fields of its configuration, each open until it is given."""
    from karussell.tasks.fronts import front
    from karussell.tasks.look import KINDS

    kind = front(task).config()
    [takes] = [known.takes for known in KINDS if known.name == task]
    add_common(parser, takes)
    parser.add_argument("--valid", type=str | None, default=None, help="data that validates; else a share is held out")
    model = parser.add_argument_group("model")
    hints, helps = get_type_hints(kind), field_help(kind)
    for item in dataclasses.fields(kind):
        default, hint = default_of(item), hints[item.name]
        if dataclasses.is_dataclass(hint):
            names = {inner.name: _shown(getattr(default, inner.name)) for inner in dataclasses.fields(default)}
            title = helps.get(item.name, item.name).rstrip(".").lower()
            add_fields(parser, item.name, title, type(default), short=SHORT.get(item.name, {}), open_fields=names)
        else:
            help_line = f"{helps.get(item.name, '').rstrip('.')}; if not given, {_shown(default)}".replace("%", "%%")
            model.add_argument(f"--{item.name}", type=hint | None, default=None, help=help_line)


def train_front(task: str, given: Namespace, words: Sequence[str]) -> None:
    """Train, and print every score beside its floor, and what to do next."""
    from karussell.tasks.front import Job, given_settings
    from karussell.tasks.fronts import front
    from karussell.tasks.look import look
    from karussell.tasks.task import lines, seconds
    from karussell.train import Progress

    chosen, out = front(task), Path(given.out)
    if "task" not in _values(words):
        note(f"task: {task} ({look(given.data).because}); --task overrides")
    settings = given_settings(given, chosen.config())
    if given.budget is not None:
        settings.setdefault("train", {})["budget"] = seconds(given.budget)
    job = Job(given.data, given.valid, out, settings, given.overwrite, note, Progress())
    result = chosen.train(job)
    print("on data that was not trained on:")
    for line in lines(result["valid"]):
        print(f"  {line}")
    print(f"trained in {result['seconds']:.0f} s ({result['stopped']}); everything is in {out}. Next:")
    print(f"  karussell predict {out} {given.data}")
    print(f"  karussell evaluate {out} {given.valid or chosen.unseen.format(data=given.data)}")
    print(f"  {opening(out / 'report.html')}")


def _values(words: Sequence[str]) -> dict[str, str]:
    """Task and data among the words after `train`, and in a configuration file that they name."""
    found: dict[str, str] = {}
    before = ""
    for word in words[1:]:
        name, given, value = word.partition("=")
        option, value = (name, value) if given else (before, word)
        if option == "--task":
            found["task"] = value
        elif option == "--config":
            found |= _configured(value)
        elif not word.startswith("--") and (not before or before in _SWITCHES):
            found.setdefault("data", word)
        before = word if word.startswith("--") and not given else ""
    return found


def _configured(path: str) -> dict[str, str]:
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError):
        # jsonargparse says what is wrong with it
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: content[name] for name in ("task", "data") if isinstance(content.get(name), str)}


def _shown(value: Any) -> str:
    if value is None:
        return "found in the data"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    return str(value) if value != "" else "found in the data"
