"""What a decoder was asked, as the arrays that C++ reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from karussell.ctc.search import native, tries
from karussell.ctc.search.config import Beam, Weights
from karussell.ctc.search.lexicon import Lexicon
from karussell.ctc.search.writing import Writing
from karussell.errors import InputError

if TYPE_CHECKING:
    from karussell.ctc.lm import LanguageModel

NO_WORDS, WRITTEN, ADJOINED = 0, 1, 2
# a look-ahead below this is none: words that the model has not may have log10 p = -100
LEAST_AHEAD = -20.0


@dataclass(frozen=True)
class Plan:
    """What a decoder was asked, not yet settled."""

    writing: Writing
    beam: Beam
    weights: Weights
    lexicon: Lexicon | None
    closed: bool
    word_model: "LanguageModel | None"
    token_model: "LanguageModel | None"
    prefix_model: Any
    hotwords: Mapping[str, float]


@dataclass(frozen=True)
class Settled:
    """Settings in memory; they hold what they point to."""

    arrays: native.Arrays
    lexicon: Lexicon | None
    adjoined: bool
    prefix_model: Any
    models: tuple[Any, ...]
    mode: int
    alphabet: Mapping[str, int]

    def changed(self, beam: Beam, hotwords: Mapping[str, float]) -> "Settled":
        """The same lexicon and models with another beam and other phrases."""
        arrays = native.Arrays(native.Settings.from_buffer_copy(self.arrays.structure))
        _beam(arrays.structure, beam)
        arrays.structure.phrase_nodes = 0
        fresh = sorted(set("".join(hotwords)) - self.alphabet.keys())
        alphabet = {**self.alphabet, **{c: n for n, c in enumerate(fresh, len(self.alphabet) + 1)}}
        if hotwords:
            _hotwords(arrays, hotwords, self.mode, alphabet)
        return replace(self, arrays=arrays, models=(*self.models, self.arrays))

    def at(self, context: Sequence[int]) -> "Settled":
        """The same, after the words of these numbers."""
        if not context:
            return self
        arrays = native.Arrays(native.Settings.from_buffer_copy(self.arrays.structure))
        arrays.set("context", context, np.uint32)
        arrays.structure.contexts = len(context)
        return replace(self, arrays=arrays, models=(*self.models, self.arrays))


def settle(plan: Plan) -> Settled:
    """Check that everything fits together, and lay it out."""
    writing, lexicon = plan.writing, plan.lexicon
    spelled = lexicon is not None and (lexicon.spellings is not None or not writing.has_words)
    mode = ADJOINED if spelled else WRITTEN if writing.has_words else NO_WORDS
    if mode == NO_WORDS and plan.word_model is not None:
        raise InputError(
            "Decoder: a word model came, but the labels make no words; give a Writing with separators, or a lexicon "
            "that spells them."
        )
    if mode == ADJOINED and not plan.closed:
        raise InputError("Decoder: words without a gap between them need a closed vocabulary; leave out closed=False.")
    if plan.closed and lexicon is None:
        raise InputError("Decoder: closed is True, but there is no lexicon; give one.")
    structure = native.Settings()
    arrays = native.Arrays(structure)
    weights = plan.weights
    _beam(structure, plan.beam)
    structure.classes, structure.blank = len(writing.labels), writing.blank
    structure.writing, structure.closed, structure.bounds = mode, plan.closed, weights.bounds
    structure.word_bonus = weights.word_bonus if mode != NO_WORDS else 0.0
    structure.token_bonus, structure.prefix_weight = weights.token_bonus, weights.prefix
    arrays.set("separator", writing.is_separator, np.uint8)
    arrays.set("starts", writing.begins, np.uint8)

    if lexicon is None and plan.word_model is not None:
        lexicon = Lexicon(tuple(w for w in plan.word_model.vocabulary if w not in ("<unk>", "<s>", "</s>")))
    alphabet = _alphabet(writing, lexicon, plan.hotwords)
    arrays.set_rows("spell_first", "spell", [[alphabet[c] for c in letters] for letters in writing.letters])
    if lexicon is not None:
        structure.unknown = weights.unknown
        _lexicon(arrays, plan, lexicon, mode, alphabet)
    _token_model(arrays, plan)
    if plan.hotwords:
        _hotwords(arrays, plan.hotwords, mode, alphabet)
    native.check(native.library().ctc_search_wrong(structure), "Decoder")
    models = (plan.word_model, plan.token_model)
    return Settled(arrays, lexicon, mode == ADJOINED, plan.prefix_model, models, mode, alphabet)


def _beam(structure: Any, beam: Beam) -> None:
    structure.beam, structure.beam_drop, structure.best_path = beam.width, beam.drop, beam.best_path
    structure.recombine = beam.recombine
    structure.token_floor, structure.top_tokens = beam.token_floor, beam.top_tokens


def _alphabet(writing: Writing, lexicon: Lexicon | None, hotwords: Mapping[str, float]) -> dict[str, int]:
    found = set("".join(writing.letters)) | set("".join(hotwords))
    if lexicon is not None:
        found |= set("".join(lexicon.words))
    return {letter: number for number, letter in enumerate(sorted(found), 1)}


def _lexicon(arrays: native.Arrays, plan: Plan, lexicon: Lexicon, mode: int, alphabet: Mapping[str, int]) -> None:
    structure, model = arrays.structure, plan.word_model
    if mode == ADJOINED:
        trie = tries.build(spelled_words(plan.writing, lexicon, "Decoder"))
        arrays.set_rows("word_spell_first", "word_spell", [[alphabet[c] for c in word] for word in lexicon.words])
    else:
        trie = tries.build([[alphabet[c] for c in word] for word in lexicon.words])
    structure.lexicon_nodes, structure.words = trie.size, len(lexicon.words)
    arrays.set("lexicon_first", trie.first, np.int32)
    arrays.set("lexicon_symbol", trie.symbol, np.int32)
    first, ending = tries.endings(trie)
    arrays.set("ending_first", first, np.int32)
    arrays.set("ending", ending, np.int32)
    if model is None:
        return
    structure.word_weight = plan.weights.word
    structure.word_model, structure.word_model_bytes = model.address, model.nbytes
    numbers = [model.number(word) for word in lexicon.words]
    arrays.set("word_number", numbers, np.uint32)
    if plan.weights.look_ahead and plan.weights.word > 0:
        nothing = model.nothing()
        alone = np.maximum([model.score(nothing, number)[0] for number in numbers], LEAST_AHEAD)
        ahead = tries.best_below(trie, alone)
        arrays.set("ahead", ahead, np.float64)
        structure.ahead_reach = plan.weights.word * max(0.0, -float(ahead[trie.nodes].min()))


def spelled_words(writing: Writing, lexicon: Lexicon, where: str) -> list[list[int]]:
    """The lexicon's words as labels."""
    numbers = {label: k for k, label in enumerate(writing.labels) if k != writing.blank}
    found = []
    for word, spelling in zip(lexicon.words, lexicon.spellings or lexicon.words, strict=True):
        lacking = next((label for label in spelling if label not in numbers), None)
        if lacking is not None:
            raise InputError(f"{where}: the lexicon spells {word!r} with {lacking!r}, which is no label.")
        found.append([numbers[label] for label in spelling])
    return found


def _token_model(arrays: native.Arrays, plan: Plan) -> None:
    model, writing = plan.token_model, plan.writing
    if model is None:
        return
    structure = arrays.structure
    structure.token_weight = plan.weights.token
    structure.token_model, structure.token_model_bytes = model.address, model.nbytes
    # text files part words by spaces, so a model of characters has another name for the space
    names = ["<space>" if label == " " and " " not in model else label for label in writing.labels]
    arrays.set("token_number", [model.number(name) for name in names], np.uint32)


def _hotwords(arrays: native.Arrays, hotwords: Mapping[str, float], mode: int, alphabet: Mapping[str, int]) -> None:
    spelled: dict[tuple[int, ...], float] = {}
    for phrase, weight in hotwords.items():
        words = phrase.split()
        if not words:
            raise InputError(f"Decoder: the phrase {phrase!r} among the hotwords is empty.")
        if mode == NO_WORDS:
            numbers = [alphabet[c] for c in phrase]
        else:
            # 0 is the boundary that two words share
            numbers = [0] + [n for word in words for n in (*(alphabet[c] for c in word), 0)]
        if tuple(numbers) in spelled:
            raise InputError(f"Decoder: the phrase {phrase!r} is there twice among the hotwords.")
        spelled[tuple(numbers)] = float(weight)
    made, structure = tries.phrases(spelled), arrays.structure
    structure.phrase_nodes, structure.phrase_reach = made.trie.size, made.reach
    arrays.set("phrase_first", made.trie.first, np.int32)
    arrays.set("phrase_symbol", made.trie.symbol, np.int32)
    arrays.set("phrase_fail", made.fail, np.int32)
    arrays.set("phrase_gain", made.gain, np.float64)
    arrays.set("phrase_hope", made.hope, np.float64)
