"""`karussell evaluate DIR DATA`: the scores of a model on data with answers."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, note
from karussell.cli.language import declare_language, language, refuse_language, tuned
from karussell.cli.words import describe
from karussell.errors import InputError


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", type=str, metavar="DIR", help="folder that karussell train has left")
    parser.add_argument(
        "data",
        type=str,
        metavar="DATA",
        help="data as it was trained on; of speech a manifest, digits, or digits:SPEAKER for one speaker",
    )
    parser.add_argument("--history", type=str | None, default=None, help="of a forecaster: the rows before DATA")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda, cuda:1, mps")
    declare_language(parser)
    parser.add_argument(
        "--tune", type=str | None, default=None, metavar="VALID", help="find alpha and beta on this data"
    )
    parser.add_argument(
        "--changes", type=str | None, default=None, metavar="FILE", help="page of what language changed"
    )


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print the scores with their intervals, and the floor beside each."""
    from karussell.tasks.folder import TASK, read_config

    task = read_config(Path(given.model))["task"]
    if task != TASK:
        from karussell.tasks.fronts import front
        from karussell.tasks.task import lines

        refuse_language(given, f"by a model of the task '{task}'")
        result = front(task).evaluate(Path(given.model), given.data, given.history, given.device, note)
        print(json.dumps(result) if given.json else "\n".join(lines(result)))
        return 0
    from karussell.files import write_atomic
    from karussell.tasks import Transcriber
    from karussell.tasks.language import changes_page
    from karussell.tasks.named import named_data

    model = Transcriber.load(given.model, device=given.device)
    if given.changes and language(given) is None:
        raise InputError("--changes shows what language changed; give --lm, --lexicon or --hotwords")
    asked, data = tuned(model, language(given), given.tune), named_data(given.data)
    plain = model.transcribe(data) if asked is not None and given.changes else []
    found = model.knows(asked).transcribe(data)
    result = model.score(data, found)
    if asked is not None and given.changes:
        rates = (model.score(data, plain), result)
        write_atomic(given.changes, changes_page(model, data, plain, found, rates, asked))
    print(json.dumps(result) if given.json else describe(result))
    return 0


COMMAND = Command(
    "evaluate",
    "measure a model on data with answers",
    "evaluate DIR DATA [--history FILE] [--json] [--device DEVICE]",
    "Measure a model on data with answers. Of speech: label error rate, and word error rate where the labels are "
    "characters of words, each with its 95 % interval. Of other tasks: their scores, each beside its floor.",
    declare,
    run,
)
