"""Texts and models to try language models on, small and made here."""

import random
from collections import defaultdict
from math import log10

WORDS = ["the", "a", "one", "small", "red", "cat", "dog", "bird", "sees", "hears", "finds", "and", "zürich", "猫"]
FALLBACK = (0.5, 1.0, 1.5)


def sentences(count: int, seed: int = 0, words: list[str] | None = None) -> list[str]:
    """Sentences in which some words follow others much more often than chance has it."""
    generator, known = random.Random(seed), words or WORDS
    made = []
    for _ in range(count):
        at, line = generator.randrange(len(known)), []
        for _ in range(generator.randint(1, 9)):
            line.append(known[at])
            step = generator.choice((1, 1, 1, 2, 5, generator.randrange(len(known))))
            at = (at * 3 + step) % len(known)
        made.append(" ".join(line))
    return made


Gram = tuple[str, ...]


def kneser_ney(
    lines: list[str],
    order: int,
    prune: tuple[int, ...],
    fallback: tuple[float, float, float],
    closed: bool,
    vocabulary: list[str] | None = None,
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """Interpolated modified Kneser-Ney by its definition, in dictionaries: p of n-grams, gamma of contexts."""
    raw: list[dict[Gram, int]] = [defaultdict(int) for _ in range(order + 1)]
    before: dict[Gram, set[str]] = defaultdict(set)
    for line in lines:
        known = [w if vocabulary is None or w in vocabulary else "<unk>" for w in line.split()]
        padded = ["<s>", *known, "</s>"]
        for end in range(2, len(padded) + 1):
            for k in range(1, min(order, end) + 1):
                gram = tuple(padded[end - k : end])
                raw[k][gram] += 1
                if end > k:
                    before[gram].add(padded[end - k - 1])
    counts: list[dict[Gram, int]] = [{}]
    for k in range(1, order + 1):
        top = k == order
        counts.append({g: c if top or g[0] == "<s>" else len(before[g]) for g, c in raw[k].items()})
    types = {g[0] for g in counts[1]} | set(vocabulary or ()) | {"</s>"}
    types = types if closed else types | {"<unk>"}
    p: dict[Gram, float] = {}
    gamma: dict[Gram, float] = {}
    for k in range(1, order + 1):
        n = [0, *(sum(c == i for c in counts[k].values()) for i in (1, 2, 3, 4))]
        discounts = list(fallback)
        if all(n[1:4]):
            y = n[1] / (n[1] + 2 * n[2])
            own = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
            discounts = own if all(0 <= d <= i for i, d in enumerate(own, 1)) else discounts
        groups: dict[Gram, list[Gram]] = defaultdict(list)
        for gram in counts[k]:
            groups[gram[:-1]].append(gram)
        for context, members in groups.items():
            total = sum(counts[k][g] for g in members)
            dropped = {g for g in members if k > 1 and raw[k][g] <= prune[k - 1]}
            taken = {g: counts[k][g] if g in dropped else discounts[min(counts[k][g], 3) - 1] for g in members}
            gamma[context] = sum(taken.values()) / total
            for g in members:
                if g not in dropped:
                    below = 1 / len(types) if k == 1 else p[g[1:]]
                    p[g] = (counts[k][g] - taken[g]) / total + gamma[context] * below
        if k == 1:
            for word in types - {g[0] for g in counts[1]}:
                p[(word,)] = gamma[()] / len(types)
    return p, {c: g for c, g in gamma.items() if c in p or c == ("<s>",)}


class BackOff:
    """An ARPA file scored as its definition says, by the longest n-gram that is listed; log10."""

    def __init__(self, text: str) -> None:
        self.p: dict[Gram, float] = {}
        self.backoff: dict[Gram, float] = defaultdict(float)
        order = 0
        for line in text.split("\\data\\", 1)[1].splitlines():
            if line.startswith("\\"):
                order = int(line[1:].split("-")[0]) if "-grams" in line else 0
            elif order and line.strip():
                number, *rest = line.split()
                self.p[tuple(rest[:order])] = float(number)
                self.backoff[tuple(rest[:order])] = float(rest[order]) if len(rest) > order else 0.0
        self.order = max(map(len, self.p))

    def score(self, history: list[str], word: str) -> float:
        context = tuple(history)[-(self.order - 1) :] if self.order > 1 else ()
        word = word if (word,) in self.p else "<unk>"
        context = tuple(w if (w,) in self.p else "<unk>" for w in context)
        total = 0.0
        while (*context, word) not in self.p:
            if not context:
                return total - 100
            total += self.backoff.get(context, 0.0)
            context = context[1:]
        return total + self.p[(*context, word)]


def scores(model: BackOff, words: list[str]) -> list[float]:
    """log10 p of each word and of the end."""
    history, found = ["<s>"], []
    for word in [*words, "</s>"]:
        found.append(model.score(history, word))
        history.append(word)
    return found


def log(p: float) -> float:
    """log10, as a file has it."""
    return log10(p)
