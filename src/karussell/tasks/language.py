"""Language in transcription: a model, a lexicon and phrases beside the network, and what they change."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from karussell.ctc import Hypothesis, label_error_rate
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Lexicon, Weights, Writing
from karussell.data.manifest import Utterance
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError
from karussell.report.blocks import facts, pairs
from karussell.report.page import Html, Page, join, text
from karussell.tasks.config import TranscriberConfig

# what is tried on validation data
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)
BETAS = (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
SHOWN = 60


class Hears(Protocol):
    """What a transcriber has that is asked here."""

    config: TranscriberConfig
    vocabulary: Vocabulary

    def posteriors(self, recordings: Sequence[np.ndarray]) -> list[Tensor]:
        """Log-probabilities [T, K] of samples at the model's rate."""
        ...


@dataclass(frozen=True)
class Language:
    """What a transcriber knows beside the sound."""

    lm: Path | None = None
    """An n-gram model: of words; of labels where they make no words."""
    lexicon: Path | None = None
    """The only words there are: one a line, or with their labels, as flashlight has them."""
    hotwords: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Phrases and what each adds, in natural logarithms."""
    alpha: float = 0.5
    """Weight of the model."""
    beta: float = 0.0
    """What a word adds; a label, where labels make no words."""
    beam: int = 100
    """Prefixes kept a frame."""


def writing(vocabulary: Vocabulary) -> Writing:
    """How a transcriber's labels become text."""
    return Writing.of(vocabulary.symbols, vocabulary.blank, marker="", whole=vocabulary.unit == "word")


def decoder(model: Hears, language: Language) -> Decoder:
    """The search of a transcriber that knows this; InputError if the labels cannot be used so."""
    made = writing(model.vocabulary)
    lexicon = None if language.lexicon is None else Lexicon.read(language.lexicon)
    loaded = None if language.lm is None else LanguageModel.load(language.lm)
    words = made.has_words or lexicon is not None
    weights = Weights(
        word=language.alpha,
        token=language.alpha,
        word_bonus=language.beta if words else 0.0,
        token_bonus=0.0 if words else language.beta,
    )
    return Decoder(
        made,
        beam=Beam(width=language.beam, recombine=loaded is not None),
        lexicon=lexicon,
        word_model=loaded if words else None,
        token_model=None if words else loaded,
        weights=weights,
        hotwords=language.hotwords,
        frame_seconds=model.config.features.frame_seconds * model.config.network.subsampling,
    )


def parse_hotwords(given: Sequence[str]) -> dict[str, float]:
    """PHRASE=WEIGHT each; a phrase without a weight gets 5."""
    found: dict[str, float] = {}
    for item in given:
        phrase, parted, weight = item.rpartition("=")
        try:
            found[phrase if parted else item] = float(weight) if parted else 5.0
        except ValueError as error:
            raise InputError(f"--hotwords: {weight!r} of {item!r} is no number; write PHRASE=WEIGHT") from error
    return found


def tune(model: Hears, data: Sequence[Utterance], language: Language) -> tuple[Language, list[dict[str, float]]]:
    """The best alpha and beta on validation data, and the error rate of every pair tried.

    The word error rate decides where the labels make words, else that of labels; of equals the smaller weights. Never
    give the data that is reported on.
    """
    rate = model.config.features.rate
    posteriors: list[Tensor] = model.posteriors([utterance.samples(rate) for utterance in data])
    texts = [model.config.texts(utterance.text) for utterance in data]
    words = writing(model.vocabulary).has_words
    rows: list[dict[str, float]] = []
    for alpha in ALPHAS:
        for beta in BETAS:
            search = decoder(model, dataclasses.replace(language, alpha=alpha, beta=beta))
            found = [search.decode(each[:, None])[0].text for each in posteriors]
            split = [[t.split() for t in side] if words else list(side) for side in (texts, found)]
            rows.append({"alpha": alpha, "beta": beta, "rate": label_error_rate(*split, resamples=1).rate})
    best = min(rows, key=lambda row: (row["rate"], row["alpha"], abs(row["beta"])))
    return dataclasses.replace(language, alpha=best["alpha"], beta=best["beta"]), rows


def changes_page(
    model: Hears,
    data: Sequence[Utterance],
    before: Sequence[Hypothesis],
    after: Sequence[Hypothesis],
    results: tuple[Mapping[str, Any], Mapping[str, Any]],
    language: Language,
) -> str:
    """One HTML file: error rates without and with language, and every text that it changed."""
    from karussell.ctc import align

    words = writing(model.vocabulary).has_words
    rows: list[tuple[int, Html]] = []
    for utterance, plain, helped in zip(data, before, after, strict=True):
        if plain.text == helped.text:
            continue
        reference = model.config.texts(utterance.text)
        sides = [t.split() if words else list(t) for t in (reference, plain.text, helped.text)]
        without, with_it = (align(sides[0], side) for side in sides[1:])
        gain = sum(a != b for a, b in without) - sum(a != b for a, b in with_it)
        verdict = f"{abs(gain)} fewer" if gain > 0 else f"{abs(gain)} more" if gain < 0 else "as many"
        parts = f"acoustic {helped.acoustic:.1f}, language {helped.language:.1f}, phrases {helped.boost:.1f}"
        body = join(
            [
                Html(f"<h3>{text(utterance.id)}: {verdict} errors</h3>"),
                pairs(without, "said", "without"),  # type: ignore[arg-type]
                pairs(with_it, "said", "with"),  # type: ignore[arg-type]
                Html(f"<p>{text(parts)}</p>"),
            ]
        )
        rows.append((gain, body))
    counts = (sum(gain > 0 for gain, _ in rows), sum(gain < 0 for gain, _ in rows), sum(gain == 0 for gain, _ in rows))
    page = Page("What language changed", kicker="Transcription report", footer="Written by Karussell.")
    shares = [
        (name, f"{100 * r['ler']:.2f} %", r.get("wer")) for name, r in zip(("without", "with"), results, strict=True)
    ]
    listed = [(f"Label error rate {name}", rate) for name, rate, _ in shares]
    listed += [(f"Word error rate {name}", f"{100 * wer:.2f} %") for name, _, wer in shares if wer is not None]
    listed += [("Texts changed", f"{len(rows)} of {len(data)}")]
    listed += [("Better, worse, as many errors", ", ".join(map(str, counts)))]
    listed += [("Model", str(language.lm or "none")), ("Lexicon", str(language.lexicon or "none"))]
    listed += [("Weights", f"alpha {language.alpha:g}, beta {language.beta:g}")]
    page.open_with(facts(listed))
    ordered = sorted(range(len(rows)), key=lambda k: (-abs(rows[k][0]), k))
    shown = [rows[k][1] for k in ordered[:SHOWN]]
    lead = "The reference above, what was found below it; those that changed most come first."
    page.add("Texts that changed", join(shown) if shown else Html("<p>None.</p>"), lead=lead)
    return page.html()


def moved(found: Hypothesis, start: float, end: float) -> Hypothesis:
    """A hypothesis of a piece, placed in its recording; the last frame may reach beyond the end."""
    return dataclasses.replace(
        found,
        starts=tuple(start + time for time in found.starts),
        ends=tuple(min(end, start + time) for time in found.ends),
        words=tuple(
            dataclasses.replace(word, start=start + word.start, end=min(end, start + word.end)) for word in found.words
        ),
    )


def joined(parts: Sequence[Hypothesis], separator: str) -> Hypothesis:
    """The hypotheses of pieces as one."""
    if len(parts) == 1:
        return parts[0]
    return Hypothesis(
        tuple(token for part in parts for token in part.tokens),
        separator.join(part.text.strip() for part in parts if part.text.strip()),
        tuple(time for part in parts for time in part.starts),
        tuple(time for part in parts for time in part.ends),
        tuple(confidence for part in parts for confidence in part.confidences),
        sum(part.score for part in parts),
        tuple(word for part in parts for word in part.words),
        sum(part.acoustic for part in parts),
        sum(part.language for part in parts),
        sum(part.boost for part in parts),
    )
