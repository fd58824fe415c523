"""`karussell evaluate DIR DATA`: error rates of a model on recordings with transcripts."""

import json

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command
from karussell.cli.words import describe


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", type=str, metavar="DIR", help="folder that karussell train has left")
    parser.add_argument(
        "data",
        type=str,
        metavar="DATA",
        help="manifest (.jsonl, .csv or .tsv), digits, or digits:SPEAKER for all strings of one speaker",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda, cuda:1, mps")


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print the error rates with their intervals."""
    from karussell.tasks import Transcriber
    from karussell.tasks.named import named_data

    model = Transcriber.load(given.model, device=given.device)
    result = model.evaluate(named_data(given.data))
    print(json.dumps(result) if given.json else describe(result))
    return 0


COMMAND = Command(
    "evaluate",
    "measure a model on recordings with transcripts",
    "evaluate DIR DATA [--json] [--device DEVICE]",
    "Measure a model on recordings with transcripts: label error rate, and word error rate where the labels are "
    "characters of words, each with its 95 % interval.",
    declare,
    run,
)
