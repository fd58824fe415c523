"""pyctcdecode's front door on our search: the same calls, the same shapes of answers."""

import math
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from karussell.ctc.doors.alphabet import Alphabet
from karussell.ctc.doors.files import read_folder, write_folder
from karussell.ctc.hypothesis import Hypothesis
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Weights
from karussell.ctc.search.decoder import Search, answer, feed
from karussell.ctc.search.posteriors import posteriors
from karussell.errors import InputError

LN10 = math.log(10.0)
LEAST_LOG_P = math.log(1e-15)
KEPT = 8
Frames = list[tuple[str, tuple[int, int]]]


class OutputBeam(NamedTuple):
    """One answer of `decode_beams`: a tuple, as pyctcdecode 0.5 gives it.

    `text_frames` has each word with its first frame and the one after its last. `logit_score` is the acoustic score,
    `lm_score` the whole: acoustic, language and hot words. `last_lm_state` goes back in as `lm_start_state`.
    """

    text: str
    last_lm_state: tuple[int, ...] | None
    text_frames: Frames
    logit_score: float
    lm_score: float


class BeamSearchDecoderCTC:
    """Made by `build_ctcdecoder` or `load_from_dir`; safe to call from many threads.

    What differs from pyctcdecode: a prefix is one entry of the beam, not one for each last frame, so the beam reaches
    further; ties and results do not depend on the order of a set; a hot word of several words is one phrase; an
    unknown word of more than six letters keeps the surcharge that pyctcdecode takes back when the word ends; batches
    run in threads, so `pool` is not used.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel | None = None,
        *,
        unigrams: Collection[str] | None = None,
        alpha: float = 0.5,
        beta: float = 1.5,
        unk_score_offset: float = -10.0,
        lm_score_boundary: bool = True,
        model_path: str | Path | None = None,
    ) -> None:
        self._alphabet, self._model = alphabet, language_model
        self._unigrams = None if unigrams is None else sorted(set(unigrams))
        self._path = None if model_path is None else Path(model_path)
        self._numbers: dict[str, Any] = {
            "alpha": alpha,
            "beta": beta,
            "unk_score_offset": unk_score_offset,
            "score_boundary": lm_score_boundary,
        }
        self._variants: dict[tuple[Any, ...], Decoder] = {}

    @cached_property
    def _decoder(self) -> Decoder:
        numbers = self._numbers
        if self._model is None:
            return Decoder(self._alphabet.writing())
        alpha = float(numbers["alpha"])
        weights = Weights(
            word=alpha,
            word_bonus=float(numbers["beta"]),
            unknown=alpha * float(numbers["unk_score_offset"]) * LN10,
            bounds=bool(numbers["score_boundary"]),
        )
        lexicon = [word for word in self._unigrams or () if word.split() == [word] and word in self._model]
        return Decoder(
            self._alphabet.writing(), lexicon=lexicon or None, closed=False, word_model=self._model, weights=weights
        )

    def _variant(
        self,
        beam_width: int,
        beam_prune_logp: float,
        token_min_logp: float,
        hotwords: Iterable[str] | None,
        weight: float,
        prune_history: bool = True,
    ) -> Decoder:
        phrases = tuple(sorted({" ".join(phrase.split()) for phrase in hotwords or () if phrase.strip()}))
        key = (beam_width, beam_prune_logp, token_min_logp, phrases, weight, prune_history)
        found = self._variants.get(key)
        if found is None:
            beam = Beam(beam_width, -beam_prune_logp, token_min_logp, recombine=prune_history)
            found = self._decoder.changed(beam=beam, hotwords=dict.fromkeys(phrases, weight))
            if len(self._variants) >= KEPT:
                self._variants.clear()
            self._variants[key] = found
        return found

    def reset_params(
        self,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
        lm_score_boundary: bool | None = None,
    ) -> None:
        """Change weights; without a language model there are none, and nothing happens."""
        given = {
            "alpha": alpha,
            "beta": beta,
            "unk_score_offset": unk_score_offset,
            "score_boundary": lm_score_boundary,
        }
        self._numbers |= {name: value for name, value in given.items() if value is not None}
        self._variants = {}
        self.__dict__.pop("_decoder", None)

    def decode(
        self,
        logits: Any,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
        lm_start_state: tuple[int, ...] | None = None,
    ) -> str:
        """The likeliest text of one utterance: logits, log-probabilities or probabilities [T, K]."""
        variant = self._variant(beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight)
        return self._search(variant, [logits], 1, lm_start_state)[0][0].text

    def decode_beams(
        self,
        logits: Any,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        prune_history: bool = False,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
        lm_start_state: tuple[int, ...] | None = None,
    ) -> list[OutputBeam]:
        """All texts of the last beam, best first."""
        variant = self._variant(beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight, prune_history)
        found = self._search(variant, [logits], max(1, beam_width), lm_start_state)[0]
        return [self._beam(hypothesis, lm_start_state) for hypothesis in found]

    def decode_batch(
        self,
        pool: Any,  # noqa: ARG002 - pyctcdecode's name; threads do the work
        logits_list: Sequence[Any],
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
    ) -> list[str]:
        """The likeliest text of each utterance, in parallel threads; `pool` may be None."""
        variant = self._variant(beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight)
        return [found[0].text for found in self._search(variant, list(logits_list), 1, None)]

    def decode_beams_batch(
        self,
        pool: Any,  # noqa: ARG002 - pyctcdecode's name; threads do the work
        logits_list: Sequence[Any],
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        prune_history: bool = False,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
    ) -> list[list[tuple[str, Frames, float, float]]]:
        """All texts of each utterance: (text, text_frames, logit_score, lm_score), in parallel threads."""
        variant = self._variant(beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight, prune_history)
        found = self._search(variant, list(logits_list), max(1, beam_width), None)
        beams = [[self._beam(hypothesis, None) for hypothesis in each] for each in found]
        return [[(b.text, b.text_frames, b.logit_score, b.lm_score) for b in each] for each in beams]

    def save_to_dir(self, filepath: str | Path) -> None:
        """Write pyctcdecode's folder."""
        write_folder(filepath, self._alphabet, self._model, self._path, self._unigrams or [], self._numbers)

    @classmethod
    def load_from_dir(cls, filepath: str | Path, unigram_encoding: str | None = None) -> "BeamSearchDecoderCTC":
        """Read pyctcdecode's folder, as it or `Wav2Vec2ProcessorWithLM` saves it; its texts are UTF-8."""
        if unigram_encoding not in (None, "utf-8", "utf8", "UTF-8"):
            raise InputError(f"load_from_dir: unigram_encoding is {unigram_encoding!r}; save unigrams.txt as UTF-8.")
        alphabet, path, unigrams, numbers = read_folder(filepath)
        return cls(
            alphabet,
            None if path is None else LanguageModel.load(path),
            unigrams=unigrams or None,
            alpha=numbers["alpha"],
            beta=numbers["beta"],
            unk_score_offset=numbers["unk_score_offset"],
            lm_score_boundary=numbers["score_boundary"],
            model_path=path,
        )

    def _search(
        self, decoder: Decoder, logits: list[Any], n: int, state: tuple[int, ...] | None
    ) -> list[list[Hypothesis]]:
        values = [_log_probs(each, len(self._alphabet.labels)) for each in logits]
        searches = [Search(decoder, state or ()) for _ in values]
        longest = max((len(each) for each in values), default=0)
        batch = np.zeros((longest, len(values), len(self._alphabet.labels)), dtype=np.float32)
        for b, each in enumerate(values):
            batch[: len(each), b] = each
        given = posteriors(batch, [len(each) for each in values], batch.shape[-1], "build_ctcdecoder")
        feed(searches, given, decoder.threads)
        return answer(searches, n, last=True)

    def _beam(self, found: Hypothesis, before: tuple[int, ...] | None) -> OutputBeam:
        state = None
        if self._model is not None:
            words = [*(before or ()), *(self._model.number(word.text) for word in found.words)]
            state = tuple(words[len(words) - min(len(words), self._model.order - 1) :])
        frames = [(word.text, (round(word.start), round(word.end))) for word in found.words]
        return OutputBeam(found.text, state, frames, found.acoustic, found.score)


def build_ctcdecoder(
    labels: Sequence[str],
    kenlm_model_path: str | Path | None = None,
    unigrams: Collection[str] | None = None,
    alpha: float = 0.5,
    beta: float = 1.5,
    unk_score_offset: float = -10.0,
    lm_score_boundary: bool = True,
) -> BeamSearchDecoderCTC:
    """A decoder by pyctcdecode's call: labels by number, and the file of a word model.

    labels             K texts; `Alphabet.build` says which is the blank, and what parts words
    kenlm_model_path   ARPA, ARPA.gz, a KenLM binary of the probing type, or our own form
    unigrams           the known words; without them, all words of the model. Without a model they are not used
    alpha, beta        weight of the word model, and what each word adds
    unk_score_offset   log10, weighted by alpha: what an unknown word costs beside its own probability
    lm_score_boundary  whether texts begin as sentences do, and their ends are scored
    """
    model = None if kenlm_model_path is None else LanguageModel.load(kenlm_model_path)
    return BeamSearchDecoderCTC(
        Alphabet.build(labels),
        model,
        unigrams=unigrams,
        alpha=alpha,
        beta=beta,
        unk_score_offset=unk_score_offset,
        lm_score_boundary=lm_score_boundary,
        model_path=kenlm_model_path,
    )


def _log_probs(logits: Any, classes: int) -> np.ndarray:
    """Log-probabilities [T, K] as pyctcdecode makes them: of probabilities or of anything else, clipped at 1e-15."""
    values = torch.as_tensor(logits).detach().cpu().to(torch.float64).numpy()
    if values.ndim != 2 or values.shape[1] != classes:
        raise InputError(f"build_ctcdecoder: logits is {list(values.shape)}; it must be [T, {classes}], one utterance.")
    if not np.isfinite(values[~np.isneginf(values)]).all():
        raise InputError("build_ctcdecoder: logits holds NaN or infinity.")
    if len(values) and math.isclose(values.sum(axis=1).mean(), 1.0):
        return np.log(np.clip(values, 1e-15, 1.0)).astype(np.float32)
    top = values.max(axis=1, keepdims=True, initial=-1e300)
    normalised = values - top - np.log(np.exp(values - top).sum(axis=1, keepdims=True))
    return np.clip(normalised, LEAST_LOG_P, 0.0).astype(np.float32)
