"""What every step of a sequence is: a bidirectional LSTM over words, letters or measurements, under a random field.

model = Tagger.fit(train, None, Path("runs/mine"))
model = Tagger.load("runs/mine")
[answer] = model.predict([example])
answer.labels, answer.confidences
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from karussell.data.labelled import Example
from karussell.errors import InputError
from karussell.tasks.config import from_json, to_json
from karussell.tasks.folder import CONFIG, VOCABULARY, WEIGHTS, read_parts, remove_run, write_parts
from karussell.tasks.sequences.batches import Batch, Loader
from karussell.tasks.sequences.encoder import counts_of
from karussell.tasks.sequences.inputs import Inputs, words
from karussell.tasks.sizes import fitting
from karussell.tasks.streams import TagStream
from karussell.tasks.tag.config import TaggerConfig, defaults
from karussell.tasks.tag.floor import Floor
from karussell.tasks.tag.network import Network, legal
from karussell.tasks.tag.score import by_type, count_chunks, interval, is_chunked
from karussell.tasks.task import Score
from karussell.train import History, Progress, fit
from karussell.train.randomness import keyed

# sequences of one batch while tagging
BATCH = 32


@dataclass(frozen=True)
class Tagged:
    """The label of every step, and how sure the model is of each."""

    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    """The marginal probability of each label under the random field."""


class Tagger:
    """Inputs, network and labels; made by `fit` or `load`, used by `predict` and `evaluate`."""

    task: ClassVar[str] = "tag"

    def __init__(self, config: TaggerConfig, inputs: Inputs, labels: Sequence[str]) -> None:
        self.config, self.inputs, self.labels = config, inputs, tuple(labels)
        # weights from the seed, and nobody else's generator touched
        with keyed(torch.device("cpu"), config.train.seed):
            self.network = Network(inputs, len(self.labels), config.network)
        self.network.eval()
        self.floor: Floor | None = None
        self.history: History | None = None

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        out: Path | str,
        config: TaggerConfig | None = None,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on sequences with a label a step, keep the weights that are best on `valid`, save in `out`.

        Without `valid` a share of the sequences is held out (`config.valid_share`). A run that was broken off in `out`
        goes on; with `overwrite` it is removed. InputError names the first sequence that cannot be used, before
        anything is written.
        """
        for example in (*train, *(valid or ())):
            _known(example)
        config = config or defaults(train)
        if not valid:
            train, valid = held_out(train, config.valid_share)
        labels = sorted({tag for example in train for tag in _known(example)})
        model = cls(config, Inputs.fit(train, config.inputs), labels)
        for example in valid:
            model.inputs.check(example)
        model.network.crf.forbid(legal(labels, [_known(example) for example in train]))
        model.floor = Floor.fit(train)
        loader = model.loader(train, varied=True)
        task = to_json(config)
        # what of it may change within a run is known to the loop
        del task["train"]
        if overwrite:
            remove_run(Path(out))
        model.history = fit(
            model.network,
            model.loss,
            loader.epoch,
            lambda network: model.validate(network, valid),
            Path(out),
            config.train,
            meta={"task": task, "labels": labels, "data": [_digest(train), _digest(valid)]},
            progress=progress,
        )
        model.network.eval()
        model.save(out)
        return model

    def loader(self, examples: Sequence[Example], *, varied: bool = False) -> Loader:
        """Examples as batches; a label that training never saw is unknown to them."""
        places = {label: k for k, label in enumerate(self.labels)}
        answers = [[places.get(tag, -1) for tag in example.tags or ()] for example in examples]
        if not varied:
            return Loader(examples, self.inputs, answers, True, BATCH)
        dropout, seed = self.config.word_dropout, self.config.train.seed
        return Loader(examples, self.inputs, answers, True, self.config.batch_size, seed, None, dropout)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The negative log-probability of the labels under the random field, a mean over the steps."""
        losses = self.network.crf(network(batch), batch.answers, batch.lengths)
        return losses.sum() / batch.lengths.sum()

    def validate(self, network: nn.Module, valid: Sequence[Example]) -> dict[str, float]:
        """1 - F1 where labels are of chunks, else the share of wrong labels; both by what they are."""
        truth = [_known(example) for example in valid]
        said = self._best(network, valid)
        wrong = 1 - _right(truth, said)
        if not is_chunked(self.labels):
            return {"score": wrong, "error": wrong}
        return {"score": 1 - count_chunks(truth, said).f1, "error": wrong}

    def predict(self, data: Sequence[Example]) -> list[Tagged]:
        """The best label sequence of each, in their order, and the probability of every label in it."""
        found: list[Tagged] = [Tagged((), ())] * len(data)
        for batch, emissions in self._emissions(self.network, data):
            paths = self.network.crf.decode(emissions, batch.lengths)
            sure = self.network.crf.marginals(emissions, batch.lengths).cpu()
            for b, path in enumerate(paths):
                picked = sure[torch.arange(len(path)), b, torch.tensor(path)].clamp(0, 1).tolist()
                found[int(batch.items[b])] = Tagged(tuple(self.labels[k] for k in path), tuple(picked))
        return found

    def stream(self, *, chunk: int = 16, left: int = 64, right: int = 16) -> TagStream:
        """Tags while a sequence comes, `chunk` + `right` steps late; see `karussell.tasks.streams.TagStream`."""
        return TagStream(self, chunk, left, right)

    def evaluate(self, data: Sequence[Example]) -> dict[str, Any]:
        """F1 of chunks by conlleval's rules where labels are of chunks, and the share of right labels; JSON values.

        A label that training never saw counts as wrong, and `unknown_labels` counts the steps that have one.
        """
        truth = [_known(example) for example in data]
        if not truth:
            raise InputError("Tagger.evaluate: there is not one sequence to measure on; give at least one")
        assert self.floor is not None
        said, floor = self._best(self.network, data), self.floor.predict(data)
        name, known = self.floor.name, set(self.labels)
        low, high = interval(truth, said, False)
        scores = [Score("accuracy", _right(truth, said), _right(truth, floor), name, True, True, low, high)]
        result: dict[str, Any] = {
            "steps": sum(map(len, truth)),
            "sequences": len(truth),
            "unknown_labels": sum(tag not in known for tags in truth for tag in tags),
        }
        if is_chunked(self.labels):
            found, under = count_chunks(truth, said), count_chunks(truth, floor)
            low, high = interval(truth, said, True)
            scores.insert(0, Score("chunk F1", found.f1, under.f1, name, True, True, low, high))
            result |= {"precision": found.precision, "recall": found.recall}
            result["types"] = {
                kind: {"f1": part.f1, "there": part.there} for kind, part in by_type(truth, said).items()
            }
        return {"scores": [score.to_json() for score in scores], **result}

    def save(self, folder: Path | str) -> None:
        """Write weights, inputs, labels and settings; `load` reads them on any machine."""
        floor = None if self.floor is None else self.floor.to_json()
        state = {"labels": list(self.labels), "inputs": self.inputs.to_json(), "floor": floor}
        parts = {VOCABULARY: json.dumps(state, ensure_ascii=False).encode()}
        write_parts(Path(folder), self.task, self.network.state_dict(), {"config": to_json(self.config)}, parts)

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Read a model folder; InputError names the file in it that is missing, cut short or of another model."""
        folder = Path(folder)
        tensors, content, parts = read_parts(folder, cls.task, (VOCABULARY,))
        try:
            state = json.loads(parts[VOCABULARY])
            config = from_json(TaggerConfig, content["config"])
            inputs, labels = Inputs.from_json(state["inputs"]), words(state["labels"])
            shape = config.network
            fitting(folder, tensors, counts_of(shape), lambda: Network(inputs, len(labels), shape))
            model = cls(config, inputs, labels)
            model.floor = None if state["floor"] is None else Floor.from_json(state["floor"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder / CONFIG}' is of no tagger ({error}); copy the folder again") from error
        try:
            model.network.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}'; copy the folder again"
            ) from error
        model.network.to(device)
        return model

    def _best(self, network: nn.Module, data: Sequence[Example]) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in data]
        for batch, emissions in self._emissions(network, data):
            for item, path in zip(batch.items.tolist(), self.network.crf.decode(emissions, batch.lengths), strict=True):
                found[item] = [self.labels[k] for k in path]
        return found

    @torch.no_grad()
    def _emissions(self, network: nn.Module, data: Sequence[Example]) -> Iterator[tuple[Batch, Tensor]]:
        network.eval()
        device = next(network.parameters()).device
        for batch in self.loader(data).in_order() if data else ():
            sent = Batch(*(part.to(device) for part in batch))
            yield sent, network(sent)


def _known(example: Example) -> tuple[str, ...]:
    if example.tags is None:
        raise InputError(f"the sequence '{example.id}' has no labels; give it one a step, or leave it out")
    if not all(example.tags):
        raise InputError(f"the sequence '{example.id}' has an empty label; write one, or O where there is nothing")
    return example.tags


def _right(truth: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> float:
    pairs = [pair for one, other in zip(truth, said, strict=True) for pair in zip(one, other, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def held_out(train: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """The sequences without a share of them, and that share, at least one; a pure function of their ids."""
    if len(train) < 2:
        raise InputError("one sequence is not enough: one is trained on, and another one validates; add sequences")
    order = sorted(range(len(train)), key=lambda k: hashlib.sha256(train[k].id.encode()).digest())
    apart = set(order[: max(1, round(share * len(train)))])
    return [e for k, e in enumerate(train) if k not in apart], [e for k, e in enumerate(train) if k in apart]


def _digest(examples: Sequence[Example]) -> str:
    found = hashlib.sha256()
    for example in examples:
        found.update(repr((example.id, example.tags, example.columns[:1])).encode())
    return found.hexdigest()[:16]
