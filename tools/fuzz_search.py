"""Throws random arguments at the compiled searches under AddressSanitizer and UBSan.

    python tools/fuzz_search.py [--runs 100000] [--seed 0] [--plain]

Each run draws settings, tries, phrases, weights, n-gram models of words, pieces and letters, and log-probabilities,
some sound and some broken, and calls the C interface as it is, past every check of Python's. The models themselves are
whole, as an opened file is; spoilt files are `fuzz_lm.py`'s. What must come back is an answer or a sentence; a finding
ends the process with the sanitizer's report. `--plain` leaves the sanitizers out, for a short run in the tests.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1"


def main() -> int:
    """Start this file again with the sanitizers' library loaded, which must come first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    if given.plain or os.environ.get("KARUSSELL_SANITIZED"):
        return work(given.runs, given.seed)
    tool = os.environ.get("CXX", "g++")
    asan = subprocess.run([tool, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if "/" not in asan:
        print(f"{tool} has no libasan.so, so nothing can be checked; install gcc's sanitizers, or pass --plain")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "KARUSSELL_SANITIZED": "1",
            "KARUSSELL_HOME": folder,
            "KARUSSELL_CXXFLAGS": FLAGS,
            "LD_PRELOAD": asan,
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        return subprocess.run([sys.executable, *sys.argv], env=environment).returncode


def work(runs: int, seed: int) -> int:
    """Run, and count what came back."""
    from karussell.ctc.search import native

    library, counts, began, pool = native.library(), {}, time.monotonic(), models()
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        one = (search, search, search, prefix_search, token_passing, align)[run % 6]
        sentence = one(library, rng, pool) if one is search else one(library, rng)
        counts[sentence] = counts.get(sentence, 0) + 1
    for sentence, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:8}  {sentence}")
    print(f"{runs} argument sets, {time.monotonic() - began:.0f} s: no crash")
    return 0


def models() -> list:
    """N-gram models of words, pieces and letters: orders 1 to 4, pruned, with closed and open vocabularies."""
    from karussell.ctc.lm import train

    rng, found = np.random.default_rng(0), []
    for names in (["one", "two", "three", "four", "five"], ["▁un", "der", "▁stand", "ing"], [*"abc'", "<space>"]):
        lines = [" ".join(rng.choice(names, rng.integers(1, 12))) for _ in range(60)]
        for order, prune, closed in ((1, (0,), False), (2, (0, 1), True), (3, (0,), True), (4, (0, 0, 1), False)):
            given = {"prune": prune, "closed": closed, "discount_fallback": (0.5, 1.0, 1.5)}
            found.append(train(lines, order, **given).model)
    return found


def number(rng, low: int, high: int) -> int:
    """Mostly in its bounds, now and then not."""
    return int(rng.choice([-1, 0, high, 2**31, -(2**40)])) if rng.random() < 0.01 else int(rng.integers(low, high))


def real(rng) -> float:
    odd = [np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0]
    return float(rng.choice(odd)) if rng.random() < 0.01 else float(rng.normal() * 2)


def spoil(rng, array: np.ndarray) -> np.ndarray:
    """Now and then one number of an array is another."""
    if array.size and rng.random() < 0.02:
        array = array.copy()
        array.flat[rng.integers(array.size)] = rng.integers(-3, 50)
    return array


def log_probs(rng, frames: int, classes: int, dtype=np.float64) -> np.ndarray:
    y = rng.normal(size=(frames, classes)) * rng.choice([0.1, 2.0, 50.0])
    y -= np.logaddexp.reduce(y, axis=1, keepdims=True) if classes else 0
    y[rng.random(y.shape) < 0.05] = -np.inf
    if y.size and rng.random() < 0.03:
        y.flat[rng.integers(y.size)] = rng.choice([np.nan, np.inf, 1e300, -1e300])
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(y.astype(dtype))


def rows(rng, count: int, longest: int, low: int, high: int) -> list[list[int]]:
    def one() -> int:
        return int(np.clip(number(rng, low, max(low + 1, high)), -(2**31), 2**31 - 1))

    return [[one() for _ in range(rng.integers(0, longest))] for _ in range(count)]


def ask_models(rng, s, arrays, pool: list) -> None:
    """A model of words, one of tokens, or both; the numbers of words in them are mostly there."""
    for name, count in (("word", s.words), ("token", s.classes)):
        if rng.random() < 0.5:
            continue
        model = pool[rng.integers(len(pool))]
        setattr(s, f"{name}_model", model.address)
        # a memory that is shorter than the model says must be refused
        short = rng.random() < 0.02
        setattr(s, f"{name}_model_bytes", int(rng.integers(model.nbytes)) if short else model.nbytes)
        if count and rng.random() < 0.97:
            high = len(model) + (rng.random() < 0.02)
            arrays.set(f"{name}_number", rng.integers(0, high, count), np.uint32)
        if name == "word" and rng.random() < 0.3:
            context = rng.integers(0, len(model) + (rng.random() < 0.05), rng.integers(1, 9))
            arrays.set("context", context, np.uint32)
            s.contexts = len(context)


def search(library, rng, pool: list) -> str:
    from karussell.ctc.search import native, tries

    s = native.Settings()
    arrays = native.Arrays(s)
    classes = int(rng.integers(1, 7))
    # arrays are as long as `classes` says, whatever else is wrong
    s.classes, s.blank, s.beam = classes, number(rng, 0, classes), number(rng, 0, 9)
    s.beam_drop = abs(real(rng)) * 5 if rng.random() < 0.5 else np.inf
    s.token_floor = real(rng) - 3 if rng.random() < 0.5 else -np.inf
    s.top_tokens, s.best_path, s.recombine = number(rng, 0, 4), number(rng, 0, 2), number(rng, 0, 2)
    s.writing, s.closed, s.bounds = number(rng, 0, 3), number(rng, 0, 2), number(rng, 0, 2)
    arrays.set("separator", rng.integers(0, 2, classes), np.uint8)
    arrays.set("starts", rng.integers(0, 2, classes), np.uint8)
    arrays.set_rows("spell_first", "spell", rows(rng, classes, 3, 1, 5))
    for name in ["unknown", "word_bonus", "token_bonus", "word_weight", "token_weight", "prefix_weight"]:
        setattr(s, name, real(rng))
    if rng.random() < 0.6:
        words = [row for row in rows(rng, int(rng.integers(1, 8)), 4, 1, 5) if row and min(row) >= 0] or [[1]]
        trie = tries.build(words)
        s.lexicon_nodes, s.words = trie.size, len(words)
        arrays.set("lexicon_first", spoil(rng, trie.first), np.int32)
        arrays.set("lexicon_symbol", spoil(rng, np.minimum(trie.symbol, 2**30)), np.int32)
        first, ending = tries.endings(trie)
        arrays.set("ending_first", first, np.int32)
        arrays.set("ending", spoil(rng, ending), np.int32)
        arrays.set_rows("word_spell_first", "word_spell", rows(rng, len(words), 4, 1, 5))
        if rng.random() < 0.5:
            arrays.set("ahead", [real(rng) for _ in range(trie.size)], np.float64)
        s.ahead_reach = abs(real(rng))
    if rng.random() < 0.5:
        made = tries.phrases({tuple(p): float(rng.normal()) for p in rows(rng, 4, 5, 0, 5) if p and min(p) >= 0})
        s.phrase_nodes, s.phrase_reach = made.trie.size, made.reach
        arrays.set("phrase_first", spoil(rng, made.trie.first), np.int32)
        arrays.set("phrase_symbol", spoil(rng, np.minimum(made.trie.symbol, 2**30)), np.int32)
        arrays.set("phrase_fail", spoil(rng, made.fail), np.int32)
        arrays.set("phrase_gain", made.gain, np.float64)
        arrays.set("phrase_hope", made.hope, np.float64)
    ask_models(rng, s, arrays, pool)
    failed: list[BaseException] = []
    if rng.random() < 0.2:
        kept = native.callback(lambda prefixes: rng.normal(size=(len(prefixes), classes)), classes, failed)
        s.prefix_scores = kept
    sentence = library.ctc_search_wrong(s)
    if sentence is not None:
        return sentence.decode()
    handle = ctypes.c_void_p()
    sentence = library.ctc_search_new(s, ctypes.byref(handle))
    if sentence is not None:
        return sentence.decode()
    try:
        return run_search(library, rng, handle, s, classes, native)
    finally:
        library.ctc_search_free(handle)


def run_search(library, rng, handle, settings, classes, native) -> str:
    handles, bad = (ctypes.c_void_p * 1)(handle), np.zeros(2, np.int64)
    for _ in range(rng.integers(1, 4)):
        frames = int(rng.integers(0, 6))
        y = log_probs(rng, frames, classes, rng.choice([np.float32, np.float64]))
        lengths = np.array([number(rng, 0, frames + 1)], np.int64)
        wide = y.dtype == np.float64
        shape = (frames, 1, number(rng, classes, classes + 1), classes, classes, 1)
        given = native.Posteriors(y.ctypes.data, wide, *shape, lengths.ctypes.data)
        sentence = library.ctc_search_feed(handles, given, number(rng, 1, 3), bad.ctypes.data)
        if sentence is not None:
            return sentence.decode()
        sizes = np.zeros(2, np.int64)
        sentence = library.ctc_search_answer(
            handles, 1, int(rng.integers(1, 12)), int(rng.integers(0, 2)), sizes.ctypes.data
        )
        if sentence is not None:
            return sentence.decode()
        count, labels = sizes
        outs = [np.empty((count, 4)), np.empty((count, 2), np.int64), *np.empty((4, labels), np.int32)]
        outs.append(np.empty(labels, np.float32))
        library.ctc_search_copy(handle, *(out.ctypes.data for out in outs))
        assert labels == 0 or (outs[2].min() >= 0 and outs[2].max() < classes)
    known = (settings.word_model is not None) + 2 * (settings.token_model is not None)
    return ("a beam search", "one with words", "one with tokens", "one with words and tokens")[known] + " answered"


def prefix_search(library, rng) -> str:
    frames, classes, most = int(rng.integers(0, 7)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    y = log_probs(rng, frames, classes)
    count, sizes, scores = np.zeros(1, np.int64), np.zeros(most, np.int64), np.zeros(most)
    tokens = np.zeros((most, max(1, frames)), np.int32)
    sentence = library.ctc_prefix_search(
        y.ctypes.data, frames, classes, number(rng, 0, classes), float(rng.choice([1.0, -0.1, -2.0])), most,
        number(rng, 1, 300), count.ctypes.data, sizes.ctypes.data, tokens.ctypes.data, scores.ctypes.data,
    )  # fmt: skip
    return "a prefix search answered" if sentence is None else sentence.decode()


def token_passing(library, rng) -> str:
    from karussell.ctc.search import native

    frames, classes, words = int(rng.integers(0, 7)), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    s = native.Passing()
    arrays = native.Arrays(s)
    s.classes, s.blank, s.words, s.separator = classes, number(rng, 0, classes), words, number(rng, -1, classes)
    arrays.set_rows("spell_first", "spell", [row or [0] for row in rows(rng, words, 4, 0, classes)])
    arrays.set("bigram", [[real(rng) for _ in range(words)] for _ in range(words + 1)], np.float64)
    arrays.set("last", [real(rng) for _ in range(words + 1)], np.float64)
    y = log_probs(rng, frames, classes)
    score, count, found = np.zeros(1), np.zeros(1, np.int64), np.zeros(frames + 1, np.int32)
    sentence = library.ctc_token_passing(
        s, y.ctypes.data, frames, score.ctypes.data, count.ctypes.data, found.ctypes.data
    )
    return "token passing answered" if sentence is None else sentence.decode()


def align(library, rng) -> str:
    frames, classes, size = int(rng.integers(0, 8)), int(rng.integers(1, 5)), int(rng.integers(0, 6))
    y, labels = (
        log_probs(rng, frames, classes),
        np.array([int(number(rng, 0, classes) % 2**31) for _ in range(size)], np.int32),
    )
    starts, stops = np.zeros((2, size + 1), np.int32)
    peaks, score = np.zeros(size + 1, np.float32), np.zeros(1)
    blank = int(rng.integers(0, classes))
    sentence = library.ctc_align(
        y.ctypes.data, frames, classes, blank, labels.ctypes.data, size,
        score.ctypes.data, starts.ctypes.data, stops.ctypes.data, peaks.ctypes.data,
    )  # fmt: skip
    return "an alignment answered" if sentence is None else sentence.decode()


if __name__ == "__main__":
    sys.exit(main())
