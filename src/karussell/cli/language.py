"""The options of `predict` and `evaluate` by which a transcriber knows more than the sound."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import note
from karussell.errors import InputError

if TYPE_CHECKING:
    from karussell.tasks import Transcriber
    from karussell.tasks.language import Language


def declare_language(parser: ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("language, of speech alone")
    group.add_argument("--lm", type=str | None, default=None, help="n-gram model: .ngram, .arpa, .arpa.gz or KenLM's")
    group.add_argument("--lexicon", type=str | None, default=None, help="the only words there are, one a line")
    group.add_argument("--hotwords", type=str, nargs="+", default=[], metavar="PHRASE=WEIGHT", help="phrases to favour")
    group.add_argument("--alpha", type=float, default=0.5, help="weight of the n-gram model")
    group.add_argument("--beta", type=float, default=0.0, help="what a word adds")
    group.add_argument("--beam", type=int, default=100, help="prefixes kept a frame")


def language(given: Namespace) -> "Language | None":
    """What was asked for, if anything was."""
    from karussell.tasks.language import Language, parse_hotwords

    if given.lm is None and given.lexicon is None and not given.hotwords:
        return None
    lm, lexicon = (None if name is None else Path(name) for name in (given.lm, given.lexicon))
    return Language(lm, lexicon, parse_hotwords(given.hotwords), given.alpha, given.beta, given.beam)


def refuse_language(given: Namespace, where: str) -> None:
    """InputError if language was asked for where it is not used."""
    asked = [name for name in ("lm", "lexicon", "hotwords", "tune", "changes") if getattr(given, name, None)]
    if asked:
        raise InputError(f"--{asked[0]} is not used {where}; leave it out")


def tuned(model: "Transcriber", asked: "Language | None", valid: str | None) -> "Language | None":
    """The weights that are best on validation data, if some is given."""
    if valid is None:
        return asked
    if asked is None or asked.lm is None:
        raise InputError("--tune sets the weights of a language model; give one with --lm")
    from karussell.tasks.language import tune
    from karussell.tasks.named import named_data

    best, rows = tune(model, named_data(valid), asked)
    rate = min(row["rate"] for row in rows)
    note(f"on '{valid}' alpha {best.alpha:g} and beta {best.beta:g} are best of {len(rows)} pairs: {100 * rate:.2f} %")
    return best
