"""`karussell lm train | perplexity | convert`: n-gram language models."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, note
from karussell.errors import InputError

MEGABYTE = 1 << 20
FORMS = "model.ngram is our own form, model.arpa and model.arpa.gz what other tools read"


def declare(parser: ArgumentParser) -> None:
    """Add the three commands, each with its arguments."""
    verbs = parser.add_subcommands(dest="verb", required=True, title="commands", metavar="COMMAND")
    train = _add(verbs, "train", "estimate a model from texts", "TEXT... --out FILE [--order N] [OPTIONS]")
    train.add_argument("text", type=str, nargs="+", metavar="TEXT", help="UTF-8, plain or gzip, a sentence a line")
    train.add_argument("--out", type=str, required=True, metavar="FILE", help=FORMS)
    train.add_argument("--order", type=int, default=3, help="longest n-gram")
    train.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="n-grams seen so often or less are dropped, by order from 1; the last number holds for all that follow",
    )
    train.add_argument("--vocabulary", type=str | None, default=None, metavar="FILE", help="its words and no others")
    train.add_argument("--closed", action="store_true", help="there are no other words: <unk> only if the text has it")
    train.add_argument(
        "--discount_fallback",
        type=float,
        nargs=3,
        metavar="D",
        help="discounts where a small text, or one of letters, gives none, such as 0.5 1 1.5",
    )
    _add_memory(train)
    measure = _add(verbs, "perplexity", "measure a model on texts", "MODEL TEXT... [--json]")
    measure.add_argument("model", type=str, metavar="MODEL", help="a language model, in any form")
    measure.add_argument("text", type=str, nargs="+", metavar="TEXT", help="UTF-8, plain or gzip, a sentence a line")
    measure.add_argument("--json", action="store_true", help="print one JSON object")
    _add_memory(measure)
    convert = _add(verbs, "convert", "turn a model into another form", "MODEL FILE")
    convert.add_argument("model", type=str, metavar="MODEL", help="our own form, ARPA, or ARPA packed by gzip")
    convert.add_argument("out", type=str, metavar="FILE", help=FORMS)
    _add_memory(convert)


def _add(verbs, name: str, what: str, usage: str) -> ArgumentParser:  # type: ignore[no-untyped-def]
    usage, description = f"karussell lm {name} {usage}", f"{what.capitalize()}."
    own = ArgumentParser(description=description, usage=usage, exit_on_error=False, allow_abbrev=False)
    verbs.add_subcommand(name, own, help=what)
    return own


def _add_memory(parser: ArgumentParser) -> None:
    parser.add_argument("--memory", type=int, default=1024, metavar="MB", help="for sorting; the rest goes to files")
    parser.add_argument("--scratch", type=str | None, default=None, metavar="DIR", help="where those files are made")


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Do what the second word says."""
    chosen = given[given.verb]
    if chosen.memory < 1:
        raise InputError(f"--memory is {chosen.memory}; it must be at least 1 megabyte")
    if chosen.scratch is not None and not Path(chosen.scratch).is_dir():
        raise InputError(f"--scratch names '{chosen.scratch}', which is no folder; make it first")
    return {"train": _train, "perplexity": _perplexity, "convert": _convert}[given.verb](chosen)


def _train(given: Namespace) -> int:
    from karussell.ctc.lm import train
    from karussell.ctc.lm.model import LanguageModel

    LanguageModel.check_name(given.out)
    fallback = given.discount_fallback
    made = train(
        [Path(name) for name in given.text],
        given.order,
        prune=given.prune,
        vocabulary=None if given.vocabulary is None else _words(Path(given.vocabulary)),
        closed=given.closed,
        discount_fallback=None if fallback is None else tuple(fallback),
        memory=given.memory * MEGABYTE,
        scratch=given.scratch,
    )
    made.model.save(given.out)
    note(f"{made.sentences:,} sentences, {made.words:,} words")
    for order, (count, discounts) in enumerate(zip(made.model.counts, made.discounts, strict=True), 1):
        note(f"order {order}: {count:,} n-grams, discounts {' '.join(f'{d:.4f}' for d in discounts)}")
    print(f"{given.out}: {Path(given.out).stat().st_size:,} bytes")
    return 0


def _words(path: Path) -> list[str]:
    from karussell.ctc.lm.files import pieces

    try:
        return b"".join(pieces(path)).decode("utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 ({error.reason} at byte {error.start}); convert it first") from error


def _perplexity(given: Namespace) -> int:
    from karussell.ctc.lm import LanguageModel, perplexity

    model = LanguageModel.load(given.model, memory=given.memory * MEGABYTE, scratch=given.scratch)
    found = perplexity(model, [Path(name) for name in given.text])
    result = {
        "perplexity": found.perplexity,
        "perplexity_without_unknown": found.without_unknown,
        "sentences": found.sentences,
        "words": found.words,
        "unknown": found.unknown,
        "log_p": found.log_p,
    }
    if given.json:
        print(json.dumps(result))
        return 0
    print(f"perplexity  {found.perplexity:.2f}  over {found.words:,} words and {found.sentences:,} ends of sentences")
    if found.unknown:
        print(f"            {found.without_unknown:.2f}  without the {found.unknown:,} unknown words")
    return 0


def _convert(given: Namespace) -> int:
    from karussell.ctc.lm import LanguageModel

    LanguageModel.check_name(given.out)
    LanguageModel.load(given.model, memory=given.memory * MEGABYTE, scratch=given.scratch).save(given.out)
    print(f"{given.out}: {Path(given.out).stat().st_size:,} bytes")
    return 0


COMMAND = Command(
    "lm",
    "make, measure and convert n-gram language models",
    "lm train | perplexity | convert",
    "N-gram language models: estimate one from texts (interpolated modified Kneser-Ney), measure one, or turn one into "
    "another form.",
    declare,
    run,
)
