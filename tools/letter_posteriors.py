"""Trains the small recogniser whose log-probabilities `karussell bench ctc` searches: 500 frames, 32 labels.

    python tools/letter_posteriors.py FOLDER        cmudict.zip and warpeace.zip lie in FOLDER

The task is spelling by ear. A sentence of "War and Peace" (public domain) is turned into phones by the CMU pronouncing
dictionary; each phone is a vector that stands for it, held for two to five frames, with noise of its own in every
frame; words run into one another, and a comma or a full stop is a pause. A bidirectional LSTM under CTC hears that
and writes letters: it must find the spaces, and the spelling of words that sound alike. The sound is made; the network,
what it was trained on, and the mistakes that it makes are real.

The first 80 % of the book train the network and the 3-gram of words (from the same sentences), the next tenth shows
the loss along the way, and the utterances that are kept are the first of the last tenth that last 450 to 500 frames;
what is short of 500 is silence. Two files are written into the package: log-probabilities in half precision
(letter_posteriors.safetensors) and the 3-gram (letter_words.arpa.gz).
"""

import argparse
import gzip
import re
import tempfile
import zipfile
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from karussell.ctc import ctc_loss, greedy, label_error_rate
from karussell.ctc.lm import train as train_lm
from karussell.nn import LSTM

ASSETS = Path(__file__).resolve().parents[1] / "src/karussell/bench/assets"
LETTERS = (*"abcdefghijklmnopqrstuvwxyz", " ", "'", ".", ",", "-", "")
FRAMES, KEPT, WIDTH, NOISE = 500, 8, 16, 1.3
SILENCE = "sil"
PAUSE = {",": (8, 16), ".": (20, 32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--out", type=Path, default=ASSETS)
    given = parser.parse_args()
    torch.manual_seed(0)
    spoken = dictionary(given.folder / "cmudict.zip")
    book = sentences(given.folder / "warpeace.zip", spoken)
    cuts = [len(book) * k // 10 for k in (8, 9)]
    parts = book[: cuts[0]], book[cuts[0] : cuts[1]], book[cuts[1] :]
    phones = sorted({*chain.from_iterable(spoken.values()), SILENCE})
    look = np.random.default_rng(1).normal(size=(len(phones), WIDTH)).astype(np.float32)
    ear = Ear(spoken, {p: k for k, p in enumerate(phones)}, look)
    network = learn(ear, parts[0], parts[1], given.steps, given.hidden)
    keep(network, ear, parts[2], given.out)
    keep_words(parts[0], given.out)


def dictionary(path: Path) -> dict[str, list[str]]:
    """Word to phones, stress left out; of several pronunciations the first."""
    text = zipfile.ZipFile(path).read("cmudict/cmudict").decode("latin-1")
    rows = re.findall(r"^([A-Z][A-Z'-]*)\s+([A-Z0-2 ]+)$", text, flags=re.M)
    return {word.lower(): re.sub(r"\d", "", said).split() for word, said in rows}


def sentences(path: Path, spoken: dict[str, list[str]]) -> list[list[str]]:
    """The sentences of the book all of whose words have a pronunciation, as words, commas and full stops."""
    text = zipfile.ZipFile(path).read("warpeace_input.txt").decode("utf-8", "ignore").lower()
    found = []
    for sentence in re.split(r"[.!?]", re.sub(r"\s+", " ", text.replace("--", ", "))):
        words = re.findall(r"[a-z]+(?:['-][a-z]+)*|,", sentence)
        if len(words) > 2 and all(word in spoken or word == "," for word in words):
            found.append([*words, "."])
    return found


class Ear:
    """What a sentence sounds like."""

    def __init__(self, spoken: dict[str, list[str]], number: dict[str, int], look: np.ndarray) -> None:
        self.spoken, self.number, self.look = spoken, number, look

    def __call__(self, words: list[str], chance: np.random.Generator) -> np.ndarray:
        """[T, WIDTH]."""
        heard: list[int] = []
        for word in words:
            if word in PAUSE:
                heard += [self.number[SILENCE]] * int(chance.integers(*PAUSE[word]))
                continue
            for phone in self.spoken[word]:
                heard += [self.number[phone]] * int(chance.integers(2, 6))
        return self.noisy(heard, chance)

    def noisy(self, heard: list[int], chance: np.random.Generator) -> np.ndarray:
        """Frames with noise."""
        return self.look[heard] + NOISE * chance.standard_normal((len(heard), WIDTH), np.float32)


class Speller(torch.nn.Module):
    """Frames [T, B, WIDTH] to log-probabilities [T, B, K]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = LSTM(WIDTH, hidden, 2, bidirectional=True)
        self.out = torch.nn.Linear(2 * hidden, len(LETTERS))

    def forward(self, x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        return self.out(self.lstm(x, lengths=lengths)[0]).log_softmax(-1)


def letters(words: list[str]) -> list[int]:
    return [LETTERS.index(c) for c in " ".join(words)]


def batch(ear: Ear, book: list[list[str]], chance: np.random.Generator, words: int, rows: int) -> tuple:
    """Frames, lengths and targets of stretches of about so many words."""
    frames, targets = [], []
    while len(frames) < rows:
        stretch: list[str] = []
        at = int(chance.integers(len(book)))
        while len(stretch) < words:
            stretch += book[at % len(book)]
            at += 1
        stretch = stretch[:words]
        x = ear(stretch, chance)
        frames.append(x)
        targets.append(letters(stretch))
    lengths = [len(x) for x in frames]
    padded = np.zeros((max(lengths), rows, WIDTH), np.float32)
    for k, x in enumerate(frames):
        padded[: len(x), k] = x
    return torch.from_numpy(padded), lengths, targets


def learn(ear: Ear, book: list[list[str]], unseen: list[list[str]], steps: int, hidden: int) -> Speller:
    """Short stretches first, whole sentences later."""
    network, blank = Speller(hidden), len(LETTERS) - 1
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        chance = np.random.default_rng([2, step])
        x, lengths, targets = batch(ear, book, chance, 5 if step < steps // 2 else 12, 24)
        losses = ctc_loss(network(x, lengths), targets, lengths, blank=blank, reduction="sum", impossible="zero")
        loss = losses / sum(map(len, targets))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            with torch.no_grad():
                x, lengths, targets = batch(ear, unseen, np.random.default_rng(3), 12, 24)
                found = greedy(network(x, lengths), lengths, blank=blank)
            rate = label_error_rate(targets, [h.tokens for h in found], resamples=1).rate
            print(f"step {step + 1}: loss {loss.item():.3f} a letter, {rate:.1%} of unseen letters wrong", flush=True)
    return network.eval()


@torch.no_grad()
def keep(network: Speller, ear: Ear, book: list[list[str]], out: Path) -> None:
    """Write the log-probabilities of the first stretches of sentences that fill the frames."""
    silence, chance, at = ear.number[SILENCE], np.random.default_rng(4), 0
    rows, texts = [], []
    while len(rows) < KEPT:
        words, x = [], np.empty((0, WIDTH), np.float32)
        while True:
            more = ear(book[at], chance)
            if len(x) + len(more) > FRAMES:
                break
            words, x, at = words + book[at], np.concatenate([x, more]), at + 1
        if len(x) < 450:
            at += not words
            # the sentence that did not fit begins the next stretch
            continue
        x = np.concatenate([x, ear.noisy([silence] * (FRAMES - len(x)), chance)])
        rows.append(network(torch.from_numpy(x)[:, None], [FRAMES])[:, 0].numpy())
        texts.append(" ".join(words))
        print(texts[-1])
    longest = max(map(len, texts))
    codes = np.array([list(text.encode().ljust(longest, b"\0")) for text in texts], np.uint8)
    content = save({"log_probs": np.stack(rows, 1).astype(np.float16), "texts": codes})
    (out / "letter_posteriors.safetensors").write_bytes(content)
    print(f"{len(content):,} bytes of log-probabilities")


def keep_words(book: list[list[str]], out: Path) -> None:
    """Write the 3-gram: words seen twice or more, longer n-grams seen three times or more."""
    counts: dict[str, int] = {}
    for word in chain.from_iterable(book):
        counts[word] = counts.get(word, 0) + 1
    known = sorted(word for word, count in counts.items() if count > 1)
    found = train_lm((" ".join(s) for s in book), 3, prune=(0, 2, 2), vocabulary=known).model
    with tempfile.TemporaryDirectory() as folder:
        found.save(Path(folder) / "words.arpa")
        text = (Path(folder) / "words.arpa").read_text(encoding="utf-8")
    # three digits after the point are enough for weights, and half the size
    short = re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.3f}", text)
    content = gzip.compress(short.encode(), 9, mtime=0)
    (out / "letter_words.arpa.gz").write_bytes(content)
    print(f"{len(content):,} bytes of a 3-gram: {found.counts}")


if __name__ == "__main__":
    main()
