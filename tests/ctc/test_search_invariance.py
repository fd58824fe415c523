"""One answer: whole or in pieces, alone or in a batch, on any number of threads, under any hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from search_oracle import Table, arpa, random_log_probs

from karussell.ctc import greedy
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Weights, Writing
from karussell.errors import InputError

WRITING = Writing.of("abcdefg ")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    words = ["a", "ab", "abc", "bad", "cab", "dead", "face", "fade", "gag"]
    return LanguageModel.load(arpa(tmp_path_factory.mktemp("model") / "w.arpa", words, 1))


def everything(model, **changed) -> Decoder:
    asked = {
        "beam": Beam(width=20),
        "word_model": model,
        "prefix_model": Table(9, 3),
        "weights": Weights(word_bonus=0.5, unknown=-3.0),
        "hotwords": {"bad cab": 2.0, "face": -1.0, "dea": 1.0},
        "threads": 1,
    }
    return Decoder(WRITING, **(asked | changed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pieces_equal_the_whole_bit_for_bit(model, dtype):
    log_probs = random_log_probs(0, 60, 9).astype(dtype)
    decoder = everything(model)
    whole = decoder.n_best(log_probs[:, None], n=20)[0]
    rng = np.random.default_rng(1)
    for _ in range(5):
        stream = decoder.stream()
        cuts = np.sort(rng.integers(0, 61, size=rng.integers(1, 12)))
        for piece in np.split(log_probs, cuts):
            stream.feed(piece)
            if rng.random() < 0.5:
                stream.partial()
                stream.finish()
        assert stream.frames == 60
        assert stream.finish(20) == whole
    stream.restart()
    stream.feed(torch.from_numpy(log_probs))
    assert stream.finish(20) == whole


def test_a_long_stream_lets_go_of_what_it_no_longer_needs(model):
    log_probs = random_log_probs(5, 4000, 9, spread=1.0).astype(np.float32)
    decoder = everything(model, prefix_model=None, beam=Beam(width=50))
    whole = decoder.decode(log_probs[:, None])[0]
    stream, sizes = decoder.stream(), []
    for at in range(0, 4000, 37):
        stream.feed(log_probs[at : at + 37])
        sizes.append(stream.nbytes)
    assert stream.finish() == [whole]
    # all prefixes ever made would take several times as much
    assert max(sizes) < 20e6


def test_threads_and_neighbours_change_nothing(model):
    batch = np.stack([random_log_probs(seed, 30, 9) for seed in range(7)], axis=1)
    lengths = [30, 1, 17, 0, 30, 29, 2]
    alone = [everything(model).n_best(batch[:n, b : b + 1], n=5)[0] for b, n in enumerate(lengths)]
    for threads in (1, 2, 5, 16):
        assert everything(model, threads=threads).n_best(batch, lengths, n=5) == alone
    padded = batch.copy()
    for b, n in enumerate(lengths):
        padded[n:, b] = np.nan
    assert everything(model).n_best(padded, torch.tensor(lengths), n=5) == alone


def test_layouts_and_kinds_change_nothing(model):
    log_probs = random_log_probs(2, 25, 9).astype(np.float32)[:, None]
    decoder = everything(model)
    wanted = decoder.n_best(log_probs, n=3)
    assert decoder.n_best(np.asfortranarray(log_probs), n=3) == wanted
    assert decoder.n_best(torch.from_numpy(log_probs).permute(1, 0, 2).contiguous().permute(1, 0, 2), n=3) == wanted
    assert decoder.n_best(log_probs[::-1].copy()[::-1], n=3) == wanted
    assert decoder.n_best(log_probs.astype(">f4"), n=3) == wanted
    half = torch.from_numpy(log_probs).to(torch.bfloat16)
    assert decoder.n_best(half, n=3) == decoder.n_best(half.float(), n=3)


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
import hashlib, numpy as np
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Weights, Writing
from search_oracle import random_log_probs
decoder = Decoder(
    Writing.of("abcdefg "), beam=Beam(width=20), word_model=LanguageModel.load({model!r}),
    hotwords={{w: 1.0 + len(w) for w in {{"bad cab", "face", "dea", "gag"}}}}, weights=Weights(unknown=-3.0),
    threads=int(sys.argv[1]),
)
# many ties: equal rows, and numbers of one digit
batch = np.round(np.stack([random_log_probs(s, 40, 9) for s in range(4)], axis=1), 0)
for _ in range({times}):
    print(hashlib.sha256(repr(decoder.n_best(batch, n=20)).encode()).hexdigest())
"""


def run_under(seeds, times, model) -> set[str]:
    script = SCRIPT.format(tests=str(Path(__file__).parent), model=model.name, times=times)
    found: set[str] = set()
    for seed in seeds:
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", script, str(1 + seed % 3)]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert len(run.stdout.split()) == times
        found |= set(run.stdout.split())
    return found


def test_hash_seeds_change_nothing(model):
    # KARUSSELL_RUNS=50 makes it a thousand runs, under fifty hash seeds and one to three threads
    seeds, times = range(int(os.environ.get("KARUSSELL_RUNS", "2"))), 20
    assert len(run_under(seeds, times, model)) == 1


def test_width_one_without_a_model_is_close_to_greedy():
    log_probs = random_log_probs(4, 50, 9, spread=6.0)
    [found] = Decoder(WRITING, beam=Beam(width=1), frame_seconds=0.1).decode(log_probs[:, None])
    [path] = greedy(torch.from_numpy(log_probs)[:, None], [50], symbols=WRITING.labels[1:], frame_seconds=0.1)
    assert (found.tokens, found.starts, found.ends) == (path.tokens, path.starts, path.ends)
    assert found.confidences == pytest.approx(path.confidences, rel=1e-6)


def test_prefixes_are_asked_for_once_a_frame_parents_first():
    table = Table(9, 1)
    Decoder(WRITING, prefix_model=table, beam=Beam(width=30), threads=1).decode(random_log_probs(1, 15, 9)[:, None])
    seen = set()
    for prefix in table.asked:
        assert prefix == () or prefix[:-1] in seen
        seen.add(prefix)


def test_a_failing_prefix_model_fails_as_itself():
    class Broken:
        def scores(self, prefixes):
            raise KeyError("weights")

    with pytest.raises(KeyError, match="weights"):
        Decoder(WRITING, prefix_model=Broken()).decode(random_log_probs(1, 5, 9)[:, None])

    class Narrow:
        def scores(self, prefixes):
            return np.zeros((len(prefixes), 3))

    with pytest.raises(InputError, match=r"scores of shape \[1, 3\] for 1 prefixes; \[1, 9\] are needed"):
        Decoder(WRITING, prefix_model=Narrow()).decode(random_log_probs(1, 5, 9)[:, None])
