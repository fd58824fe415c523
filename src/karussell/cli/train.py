"""`karussell train DATA --out DIR`: from data to a model folder; the task is that of the data, or the one named."""

import dataclasses
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, complain, is_full, note
from karussell.cli.digits import leave_one_out, train_digits
from karussell.cli.front import TRANSCRIBE, add_common, chosen_task, declare_front, train_front
from karussell.cli.launch import is_launched, launch, launched
from karussell.cli.options import add_fields, default_of, field_help
from karussell.cli.words import opening, percent

if TYPE_CHECKING:
    from karussell.data.manifest import Utterance
    from karussell.tasks import TranscriberConfig

# groups of the configuration, and their options that are wanted most, which have a second, short name
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "train": (
        "training",
        {"epochs": "--epochs", "learning_rate": "--learning_rate", "seed": "--seed", "device": "--device"},
    ),
    "network": ("network", {"hidden": "--hidden", "layers": "--layers"}),
    "augment": ("augmentation of the training recordings", {}),
    "features": ("features", {}),
    "texts": ("transcripts", {}),
}
# more adds nothing to speech, and costs time
HIGHEST_RATE = 16000
# less than this leaves CTC on its plateau
LEAST_STEPS = 2000
# options without a default of their own: what they become is found in the data
OPEN = {
    "train": {"epochs": f"enough for {LEAST_STEPS:,} steps, at least 30"},
    "features": {"rate": "the rate of most recordings, at most 16,000"},
}
DIGITS = "digits"


def declare_by(parser: ArgumentParser, words: list[str]) -> None:
    """Add the arguments of the task that the words ask for."""
    task = chosen_task(words)
    if task == TRANSCRIBE:
        declare(parser)
    else:
        declare_front(parser, task)
    parser.set_defaults({"task": task})


def declare(parser: ArgumentParser) -> None:
    """Add the arguments of transcription; those of the groups are the fields of the configuration's dataclasses."""
    from karussell.tasks import TranscriberConfig

    add_common(parser, "manifest (.jsonl, .csv or .tsv with audio and text), or digits; karussell tasks lists others")
    parser.add_argument("--devices", type=int, default=1, help="processes on this machine; on several, use torchrun")
    parser.add_argument(
        "--valid", type=str | None, default=None, help="manifest that validates; without it a share is held out"
    )
    parser.add_argument("--valid_share", type=float, default=0.1, help="share of the recordings that is held out")
    digits = parser.add_argument_group("the packaged digits")
    digits.add_argument("--speaker", type=str, default="theo", help="who is left out of the second model")
    digits.add_argument("--leave_one_out", action="store_true", help="leave out each of the six speakers in turn")
    model = parser.add_argument_group("model")
    hints, helps = get_type_hints(TranscriberConfig), field_help(TranscriberConfig)
    for item in dataclasses.fields(TranscriberConfig):
        if item.name not in GROUPS:
            text = helps[item.name].rstrip(".")
            model.add_argument(f"--{item.name}", type=hints[item.name], default=default_of(item), help=text)
    for name, (title, short) in GROUPS.items():
        add_fields(parser, name, title, hints[name], short=short, open_fields=OPEN.get(name, {}))


def presets(given: Namespace) -> dict[str, Any]:
    """The defaults that a known data set brings, by the names of the options."""
    if given.data != DIGITS or given.task != TRANSCRIBE:
        return {}
    from karussell.tasks.config import to_json
    from karussell.tasks.digits import RECIPE

    found: dict[str, Any] = {}
    for name, value in to_json(RECIPE).items():
        found |= {f"{name}.{key}": part for key, part in value.items()} if name in GROUPS else {name: value}
    return found


def run(given: Namespace, words: list[str]) -> int:
    """Train, and say what to do next; an interrupted run says how to go on."""
    from karussell.tasks.folder import RESULT, claim
    from karussell.train import Terminated

    out = Path(given.out)
    if launched() == 0:
        claim(out, resume=given.resume, overwrite=given.overwrite)
    if given.get("devices", 1) > 1 and not is_launched():
        return launch(given.devices, words)
    if launched() > 0:
        # the first process speaks for all
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if given.resume and (out / RESULT).exists():
        note(f"the run in '{out}' is finished; its results are in {out / RESULT}")
        return 0
    try:
        if given.task != TRANSCRIBE:
            train_front(given.task, given, words)
        elif given.data == DIGITS:
            config = configuration(given, 8000, 0)
            if given.leave_one_out:
                leave_one_out(out, config, overwrite=given.overwrite)
            else:
                train_digits(out, config, given.speaker, overwrite=given.overwrite)
        else:
            _train_manifest(out, given)
    except KeyboardInterrupt as error:
        return complain(f"interrupted; go on with: {again(words)}", 143 if isinstance(error, Terminated) else 130)
    except OSError as error:
        if is_full(error):
            where = error.filename or out
            return complain(f"there is no space left to write '{where}'; free some, then: {again(words)}", 2)
        raise
    return 0


def configuration(given: Namespace, rate: int, recordings: int) -> "TranscriberConfig":
    """The configuration that the options spell; what was left open follows from the data."""
    from karussell.tasks import TranscriberConfig
    from karussell.tasks.task import seconds

    hints = get_type_hints(TranscriberConfig)
    made = {}
    if given.budget is not None:
        given.train.budget = seconds(given.budget)
    for item in dataclasses.fields(TranscriberConfig):
        value = given[item.name]
        if item.name in GROUPS:
            fields = dict(vars(value))
            if item.name == "features" and fields["rate"] is None:
                fields["rate"] = rate
            if item.name == "train" and fields["epochs"] is None:
                fields["epochs"] = max(30, -(-LEAST_STEPS // -(-recordings // max(1, given.batch_size))))
            value = hints[item.name](**fields)
        made[item.name] = value
    return TranscriberConfig(**made)


def again(words: Sequence[str]) -> str:
    """The command that goes on with an interrupted one."""
    kept = [word for word in words if word not in ("--resume", "--overwrite")]
    return shlex.join(["karussell", *kept, "--resume"])


def _train_manifest(out: Path, given: Namespace) -> None:
    from karussell.data.manifest import read_manifest
    from karussell.tasks import hold_out, train_transcriber
    from karussell.train import Progress

    train = read_manifest(given.data)
    if given.valid is not None:
        valid = read_manifest(given.valid)
    else:
        train, valid = hold_out(train, given.valid_share, given.train.seed)
    config = configuration(given, _common_rate([*train, *valid]), len(train))
    hours = sum(utterance.seconds() for utterance in train) / 3600
    note(f"{len(train)} recordings ({hours:.2f} h) to train on, {len(valid)} to validate")
    _say_rates([*train, *valid], config.features.rate)
    result = train_transcriber(train, valid, out, config, overwrite=given.overwrite, progress=Progress())
    valid_result = result["valid"]
    print(f"label error rate on the validation recordings: {percent(valid_result['ler'])}")
    print(f"  95 % interval {percent(valid_result['low'])} to {percent(valid_result['high'])}")
    print(f"  floor (always the most frequent transcript): {percent(valid_result['floor'])}")
    print(f"trained in {result['seconds']:.0f} s; everything is in {out}. Next:")
    example = valid[0].audio
    print(f"  karussell predict {out} {example}")
    print(f"  karussell evaluate {out} {given.valid or given.data}")
    print(f"  {opening(out / 'report.html')}")


def _rates(utterances: Sequence["Utterance"]) -> Counter[int]:
    from karussell.data.audio import read_audio

    paths = [utterance.audio for utterance in utterances if isinstance(utterance.audio, Path)]
    # a glance at the beginning is enough to see the rate
    return Counter(read_audio(path, seconds=0.05).source_rate for path in paths)


def _common_rate(utterances: Sequence["Utterance"]) -> int:
    """The rate of most recordings, as far as it is of use."""
    [(rate, _)] = _rates(utterances).most_common(1)
    return min(rate, HIGHEST_RATE)


def _say_rates(utterances: Sequence["Utterance"], rate: int) -> None:
    for source, count in sorted(_rates(utterances).items()):
        if source != rate:
            note(f"{count} of {len(utterances)} recordings are resampled from {source} to {rate} samples a second")


COMMAND = Command(
    "train",
    "train a model on data",
    "train DATA --out DIR [--task TASK] [--budget TIME] [options]",
    "Train a model. DATA says what for: a manifest of recordings with transcripts or the word digits, a table of "
    "series, labelled sequences; karussell tasks lists them. The options are those of the task: karussell train --task "
    "forecast --help.",
    declare,
    run,
    presets,
    declare_by,
)
