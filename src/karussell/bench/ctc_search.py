"""The cases of the CTC search: one utterance of 500 frames, beam 100, one thread, beside other people's decoders.

    search-vs-pyctcdecode       without and with a 3-gram of words, both with its default pruning and histories merged
    search-vs-flashlight        every label in every frame: without a model; with the 3-gram and its lexicon
    search-vs-fast-ctc-decode   every label in every frame; and those above one in a thousand

Both sides get the same numbers: beam, label floor, beam threshold, weights. Peers run in an environment of their own,
behind a pipe; without it their rows say "not measured". `python -m karussell.bench.ctc_search` prints error rates and
memory beside the times.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from karussell.bench import ctc_search_data
from karussell.bench.ctc_case import Case, Peer, Sides
from karussell.bench.ctc_search_data import Data
from karussell.bench.ctc_search_peers import Worker, python
from karussell.bench.parity import ParityError
from karussell.ctc.lm import LanguageModel
from karussell.ctc.search import Beam, Decoder, Weights, Writing

BEAM, ALPHA, BETA = 100, 0.5, 1.5
# a peer that merges differently may have luck with a word or two; more is another search
SLACK = 0.005


@dataclass(frozen=True)
class Problem:
    """What both sides are asked."""

    peer: str
    group: str
    name: str
    data: Callable[[], Data]
    floor: float = -math.inf
    drop: float = math.inf
    model: bool = False
    lexicon: bool = False

    def ours(self) -> Decoder:
        """Our decoder."""
        data = self.data()
        unknown = ALPHA * -10.0 * math.log(10.0)
        return Decoder(
            Writing(data.labels, data.blank, {" ": " "}, ""),
            beam=Beam(BEAM, self.drop, self.floor, recombine=self.model),
            lexicon=data.words if self.lexicon else None,
            word_model=LanguageModel.load(data.model) if self.model and data.model else None,
            weights=Weights(word=ALPHA, word_bonus=BETA if self.model else 0.0, unknown=unknown),
            threads=1,
        )

    def theirs(self) -> Worker:
        """The peer's."""
        data = self.data()
        asked: dict[str, Any] = {
            "peer": self.peer,
            "labels": list(data.labels),
            "beam": BEAM,
            "floor": max(self.floor, -1e9),
            "drop": min(self.drop, 1e9),
            "model": data.model if self.model else None,
            "lexicon": list(data.words) if self.lexicon else None,
            "alpha": ALPHA,
            "beta": BETA,
        }
        return Worker(asked, data.log_probs)


@dataclass(frozen=True)
class Quality:
    """How well a side did on all utterances: letters wrong of letters said, and how often a text is ours.

    likelier, less_likely: how many texts of ours have a greater, or a smaller, p(text | x) than the peer's; without a
    model that is what both look for, so it tells a search that found more from one that was lucky.
    """

    ours: float
    theirs: float | None
    same: float | None
    likelier: int = 0
    less_likely: int = 0


def quality(problem: Problem) -> Quality:
    """Error rates of both sides."""
    data, decoder = problem.data(), problem.ours()
    batch = np.ascontiguousarray(data.log_probs.transpose(1, 0, 2))
    ours = [h.text for h in decoder.decode(batch)]
    if python() is None:
        return Quality(error_rate(data.texts, ours), None, None)
    worker = _worker(problem)
    theirs = [worker.text(i) for i in range(len(data.texts))]
    same = float(np.mean([a == b for a, b in zip(ours, theirs, strict=True)]))
    found = Quality(error_rate(data.texts, ours), error_rate(data.texts, theirs), same)
    if problem.model:
        return found
    gain = log_p(data, ours) - log_p(data, theirs)
    # float32 sums of other paths are no difference
    return replace(found, likelier=int((gain > 1e-3).sum()), less_likely=int((gain < -1e-3).sum()))


def log_p(data: Data, texts: list[str]) -> np.ndarray:
    """ln p(text | x) of every utterance, the sum over all paths [N]."""
    from karussell.ctc import ctc_loss

    targets = [[data.labels.index(letter) for letter in text] for text in texts]
    y = torch.from_numpy(data.log_probs.transpose(1, 0, 2).astype(np.float64)).log_softmax(-1)
    lengths = [y.shape[0]] * y.shape[1]
    return -ctc_loss(y, targets, lengths, blank=data.blank, reduction="none", impossible="zero").numpy()


def error_rate(texts: tuple[str, ...], found: list[str]) -> float:
    """Edits over letters, summed."""
    from karussell.ctc import label_error_rate

    return label_error_rate(list(texts), found, resamples=1).rate


@cache
def _worker(problem: Problem) -> Worker:
    return problem.theirs()


def verify(problem: Problem) -> None:
    """Our error rate is not above the peer's."""
    found = quality(problem)
    if found.theirs is not None and found.ours > found.theirs + SLACK:
        raise ParityError(
            f"{problem.group}, {problem.name}: {found.ours:.2%} of the letters are wrong, {found.theirs:.2%} of "
            f"{problem.peer}'s; a search that finds less is not timed."
        )


def sides(problem: Problem, threads: int) -> Sides:  # noqa: ARG001 - every case gets them; one utterance is one thread's
    """One utterance, as each side takes it."""
    data, decoder = problem.data(), problem.ours()
    one = np.ascontiguousarray(data.log_probs[0][:, None])
    call = None if python() is None else partial(_worker(problem).text, 0)
    return Sides(lambda: decoder.decode(one)[0].text, (Peer(problem.peer, call),))


def problems(group: str, quick: bool) -> Iterator[Problem]:
    """The problems of a group; quick leaves out the trained recogniser's."""
    letters, digits = ctc_search_data.letters, ctc_search_data.digits
    sets = [letters] if quick else [letters, digits]
    names = {letters: "letters T500 K32", digits: "digits T500 K11"}
    if group == "search-vs-pyctcdecode":
        for data in sets:
            yield Problem("pyctcdecode", group, names[data], data, floor=-5.0, drop=10.0)
        yield Problem("pyctcdecode", group, f"{names[letters]} 3-gram", letters, floor=-5.0, drop=10.0, model=True)
    elif group == "search-vs-flashlight":
        for data in sets:
            yield Problem("flashlight-text", group, names[data], data)
        yield Problem("flashlight-text", group, f"{names[letters]} 3-gram lexicon", letters, model=True, lexicon=True)
    else:
        for data in sets:
            yield Problem("fast-ctc-decode", group, names[data], data)
            yield Problem("fast-ctc-decode", group, f"{names[data]} floor 0.001", data, floor=math.log(1e-3))


def cases(group: str, quick: bool) -> Iterator[Case]:
    """The cases of a group."""
    for problem in problems(group, quick):
        yield Case(group, problem.name, partial(sides, problem), partial(verify, problem), threads=False)


NAMES = ("search-vs-pyctcdecode", "search-vs-flashlight", "search-vs-fast-ctc-decode")
GROUPS = {name: partial(cases, name) for name in NAMES}


def main() -> None:
    """Print error rates and memory."""
    for name in NAMES:
        for problem in problems(name, False):
            found, data = quality(problem), problem.data()
            stream = problem.ours().stream()
            stream.feed(data.log_probs[0])
            line = f"{problem.peer:16} {problem.name:28} letters wrong: ours {found.ours:.2%}"
            if found.theirs is not None:
                line += f", theirs {found.theirs:.2%}, same text {found.same:.0%}"
                if not problem.model:
                    line += f", ours likelier {found.likelier}, theirs {found.less_likely}"
                line += f"; memory: its process {_worker(problem).megabytes():.0f} MB"
            print(f"{line}, our search {stream.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
