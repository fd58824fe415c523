"""Prefix beam search with language models, a lexicon and phrases: one decoder, any mix of them."""

import ctypes
import weakref
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from karussell.ctc.hypothesis import Hypothesis
from karussell.ctc.search import native
from karussell.ctc.search.answers import Reader
from karussell.ctc.search.config import Beam, Weights
from karussell.ctc.search.lexicon import Lexicon
from karussell.ctc.search.posteriors import Frames, posteriors
from karussell.ctc.search.settings import Plan, settle
from karussell.ctc.search.writing import Writing
from karussell.errors import InputError

if TYPE_CHECKING:
    from karussell.ctc.lm import LanguageModel


class PrefixModel(Protocol):
    """A model of labels that the search asks for whole batches of prefixes: a neural network, or anything else."""

    def scores(self, prefixes: Sequence[tuple[int, ...]]) -> Any:
        """ln p(next label | prefix), an array [N, K]; at the blank's place ln p(the text ends | prefix).

        Each prefix is a tuple of labels without blanks. Its parent was asked before it; a prefix that left the beam
        and came back may be asked again.
        """
        ...


class Decoder:
    """Turns log-probabilities into the likeliest texts.

    For each label sequence l the search sums its paths, p(l | x) (Graves et al. 2006), and ranks by

        ln p(l | x) + word_weight ln p_word(l) + token_weight ln p_token(l) + prefix_weight ln p_prefix(l)
        + word_bonus |words| + token_bonus |l| + unknown |unknown words| + the weights of the phrases in it

    in the beam as in the answer, where a word counts once it is complete. With an unlimited beam that is exhaustive.
    The same input gives the same answer, bit for bit: alone or in a batch, whole or in pieces, on any number of
    threads. A decoder may be used from many threads at once.

        decoder = Decoder(Writing.of("abc "), word_model=LanguageModel.load("english.arpa"))
        [best] = decoder.decode(log_probs, lengths)
    """

    def __init__(
        self,
        writing: Writing,
        *,
        beam: Beam | None = None,
        lexicon: Lexicon | Iterable[str] | None = None,
        closed: bool | None = None,
        word_model: "LanguageModel | None" = None,
        token_model: "LanguageModel | None" = None,
        prefix_model: PrefixModel | None = None,
        weights: Weights | None = None,
        hotwords: Mapping[str, float] | None = None,
        frame_seconds: float = 1.0,
        threads: int = 0,
    ) -> None:
        """Settle everything a search needs; InputError says what does not fit together.

        lexicon        words; with spellings, or where the labels make no words, words follow each other as spelled
        closed         whether there are no other words: yes if a lexicon is given, else no
        word_model     of words, asked where a word ends; its words are the lexicon if none is given
        token_model    of labels, by the texts they have; a space is asked for as `<space>` if it has no " "
        prefix_model   asked for batches of prefixes
        hotwords       phrases and what each occurrence adds, in natural logarithms; negative ones too. A phrase stands
                       between word boundaries; where the labels make no words, anywhere
        frame_seconds  a frame's length, for times
        threads        utterances decoded at a time; 0: as many as torch uses
        """
        if lexicon is not None and not isinstance(lexicon, Lexicon):
            lexicon = Lexicon.of(lexicon)
        self.writing, self.frame_seconds = writing, frame_seconds
        self.beam, self.weights = beam or Beam(), weights or Weights()
        self.threads = threads or torch.get_num_threads()
        self._plan = Plan(
            writing=writing,
            beam=self.beam,
            weights=self.weights,
            lexicon=lexicon,
            closed=lexicon is not None if closed is None else closed,
            word_model=word_model,
            token_model=token_model,
            prefix_model=prefix_model,
            hotwords=dict(hotwords or {}),
        )
        self._settled = settle(self._plan)
        self._reader = Reader(writing, self._settled.lexicon, self._settled.adjoined, frame_seconds)

    def decode(self, log_probs: Tensor | np.ndarray, lengths: Tensor | Sequence[int] | None = None) -> list[Hypothesis]:
        """The likeliest text of each utterance: log_probs [T, B, K], lengths [B] or all T frames of each."""
        return [found[0] for found in self.n_best(log_probs, lengths, 1)]

    def n_best(
        self, log_probs: Tensor | np.ndarray, lengths: Tensor | Sequence[int] | None = None, n: int = 10
    ) -> list[list[Hypothesis]]:
        """The n likeliest texts of each utterance, best first; fewer if the beam holds fewer, at least one."""
        if n < 1:
            raise InputError(f"Decoder.n_best: n is {n}; it must be at least 1.")
        given = posteriors(log_probs, lengths, len(self.writing.labels), "Decoder")
        searches = [Search(self) for _ in range(given.batch)]
        feed(searches, given, self.threads)
        return answer(searches, n, last=True)

    def changed(self, *, beam: Beam | None = None, hotwords: Mapping[str, float] | None = None) -> "Decoder":
        """A decoder with another beam, or other phrases, that shares everything else; `{}` takes phrases away."""
        made = copy(self)
        made.beam = beam or self.beam
        made._plan = replace(self._plan, beam=made.beam, hotwords=self._plan.hotwords if hotwords is None else hotwords)
        made._settled = self._settled.changed(made.beam, made._plan.hotwords)
        return made

    def stream(self) -> "Stream":
        """A search of one utterance that is fed as it comes."""
        return Stream(self)


class Search:
    """One utterance's search, in C++."""

    def __init__(self, decoder: Decoder, context: Sequence[int] = ()) -> None:
        self.decoder, self._settled = decoder, decoder._settled.at(context)
        self.failed: list[BaseException] = []
        library, settings = native.library(), native.Settings.from_buffer_copy(self._settled.arrays.structure)
        model = self._settled.prefix_model
        if model is not None:
            self._callback = native.callback(model.scores, len(decoder.writing.labels), self.failed)
            settings.prefix_scores = self._callback
        self.handle = ctypes.c_void_p()
        native.check(library.ctc_search_new(settings, ctypes.byref(self.handle)), "Decoder")
        weakref.finalize(self, library.ctc_search_free, self.handle)

    @property
    def nbytes(self) -> int:
        """Memory the search holds now."""
        return int(native.library().ctc_search_bytes(self.handle))

    @property
    def frames(self) -> int:
        """Frames it was fed."""
        return int(native.library().ctc_search_frames(self.handle))


def feed(searches: Sequence[Search], given: Frames, threads: int, *, before: int = 0, name: str = "utterance") -> None:
    """Feed each search its utterance; `before` frames came earlier."""
    handles = (ctypes.c_void_p * max(1, len(searches)))(*(search.handle for search in searches))
    bad = np.full(2, -1, dtype=np.int64)
    sentence = native.library().ctc_search_feed(handles, given.structure, threads, bad.ctypes.data)
    for search in searches:
        if search.failed:
            raise search.failed.pop()
    where = "Decoder" if bad[0] < 0 else f"Decoder: log_probs of {name} {bad[0]}, frame {before + bad[1]}"
    native.check(sentence, where)


def answer(searches: Sequence[Search], n: int, *, last: bool) -> list[list[Hypothesis]]:
    """The n best of each search, at least one: an empty text with the score -inf where nothing is possible."""
    library = native.library()
    handles = (ctypes.c_void_p * max(1, len(searches)))(*(search.handle for search in searches))
    sizes = np.zeros((len(searches), 2), dtype=np.int64)
    sentence = library.ctc_search_answer(handles, len(searches), n, last, sizes.ctypes.data)
    for search in searches:
        if search.failed:
            raise search.failed.pop()
    native.check(sentence, "Decoder")
    return [
        search.decoder._reader.read(search.handle, int(count), int(labels))
        for search, (count, labels) in zip(searches, sizes, strict=True)
    ]


class Stream:
    """One utterance, fed in pieces of any length; the answer is that of the whole, bit for bit.

    stream = decoder.stream()
    for piece in pieces:        # [t, K]
        stream.feed(piece)
        print(stream.partial().text)
    best = stream.finish()
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder, self._search = decoder, Search(decoder)

    @property
    def frames(self) -> int:
        """Frames fed since the beginning."""
        return self._search.frames

    @property
    def nbytes(self) -> int:
        """Memory the search holds now; prefixes that nothing refers to are let go, so it grows with the text alone."""
        return self._search.nbytes

    def feed(self, log_probs: Tensor | np.ndarray) -> None:
        """Go on with frames [t, K]."""
        if log_probs.ndim != 2:
            raise InputError(f"Stream.feed: log_probs is {list(log_probs.shape)}; it must be [t, K], one utterance.")
        given = posteriors(log_probs[:, None], None, len(self._decoder.writing.labels), "Stream.feed")
        feed([self._search], given, 1, before=self.frames, name="stream")

    def partial(self) -> Hypothesis:
        """The likeliest text so far; later frames may still change it."""
        return answer([self._search], 1, last=False)[0][0]

    def finish(self, n: int = 1) -> list[Hypothesis]:
        """The n likeliest texts, now that everything was fed. The stream may go on as if it had not been asked."""
        return answer([self._search], n, last=True)[0]

    def restart(self) -> None:
        """Begin another utterance."""
        native.library().ctc_search_begin(self._search.handle)
