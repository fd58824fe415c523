"""What a sequence is: convolutions and a bidirectional LSTM, a few networks whose probabilities are averaged.

model = Classifier.fit(train, None, Path("runs/mine"))
model = Classifier.load("runs/mine")
[answer] = model.predict([example])
answer.label, answer.probabilities
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from karussell.data.labelled import Example
from karussell.errors import InputError
from karussell.tasks.classify.calibration import fit_temperature
from karussell.tasks.classify.config import ClassifierConfig, defaults, settled
from karussell.tasks.classify.evidence import evidence, log_mean
from karussell.tasks.classify.floor import Floor
from karussell.tasks.classify.network import Members
from karussell.tasks.classify.parts import judged, part_of
from karussell.tasks.classify.score import measure
from karussell.tasks.config import from_json, to_json
from karussell.tasks.folder import CONFIG, VOCABULARY, WEIGHTS, read_parts, remove_run, write_parts
from karussell.tasks.sequences.batches import Batch, Loader
from karussell.tasks.sequences.encoder import counts_of
from karussell.tasks.sequences.inputs import Inputs, words
from karussell.tasks.sizes import fitting
from karussell.tasks.streams import LabelStream
from karussell.train import History, Progress, fit
from karussell.train.randomness import keyed

# sequences of one batch while classifying
BATCH = 64


@dataclass(frozen=True)
class Answer:
    """What a sequence is held to be."""

    label: str
    probabilities: Mapping[str, float]
    """Of every label; they sum to one."""

    @property
    def confidence(self) -> float:
        """The probability of the label."""
        return self.probabilities[self.label]


class Classifier:
    """Inputs, networks and labels; made by `fit` or `load`, used by `predict` and `evaluate`."""

    task: ClassVar[str] = "classify"

    def __init__(self, config: ClassifierConfig, inputs: Inputs, labels: Sequence[str]) -> None:
        self.config, self.inputs, self.labels = config, inputs, tuple(labels)
        # weights from the seed, and nobody else's generator touched
        with keyed(torch.device("cpu"), config.train.seed):
            self.network = Members(inputs, len(self.labels), config.network, config.members)
        self.network.eval()
        self.temperature = 1.0
        self.floor: Floor | None = None
        self.history: History | None = None
        self.held_out: Tensor | None = None
        self.validation: dict[str, Any] = {}

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        valid: Sequence[Example] | None,
        out: Path | str,
        config: ClassifierConfig | None = None,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on labelled sequences, keep the weights that are best on sequences not trained on, save in `out`.

        Without `valid` every network is trained without a part of its own and validated on that part, so that all
        sequences are learned from and every one is judged by a network that never saw it. The temperature of the
        probabilities comes from the same. A run that was broken off in `out` goes on; with `overwrite` it is removed.
        InputError names the first sequence that cannot be used, before anything is written.
        """
        labels = _labels(train)
        config = settled(config or defaults(train), train)
        folds = config.members if not valid else 0
        if folds == 1:
            raise InputError("Classifier.fit: members is 1 and there is no validation set; give one, or 2 members")
        model = cls(config, Inputs.fit(train, config.inputs), labels)
        for example in valid or ():
            _known(example)
            model.inputs.check(example)
        loader = model.loader(train, varied=True)
        part = part_of(train, folds)
        weights = label_weights(train, labels, config.weights)
        unseen = judged(model.loader(valid or train), part, folds)
        task = to_json(config)
        # what of it may change within a run is known to the loop
        del task["train"]
        if overwrite:
            remove_run(Path(out))
        model.history = fit(
            model.network,
            lambda network, batch: model.loss(network, batch, part, weights),
            loader.epoch,
            lambda network: _numbers(*model._held_out(network, unseen, folds)),
            Path(out),
            config.train,
            meta={"task": task, "labels": list(labels), "data": _digest(train, valid)},
            progress=progress,
        )
        model.network.eval()
        with torch.no_grad():
            logits, answers = model._held_out(model.network, unseen, folds)
        # of parts, every row is of one network; of a validation set, the average of all networks is what predicts
        scores = logits[0] if folds else log_mean(logits, 1.0)
        known = answers >= 0
        model.temperature = fit_temperature(scores[known], answers[known])
        model.floor = Floor.fit(train)
        judges = valid or train
        model.held_out = (scores / model.temperature).softmax(-1)
        under = model.floor.predict(judges, among_itself=not valid)
        model.validation = measure([str(e.label) for e in judges], model.held_out, labels, model.floor, under)
        model.save(out)
        return model

    def loader(self, examples: Sequence[Example], *, varied: bool = False) -> Loader:
        """Examples as batches; a label that training never saw is unknown to them."""
        places = {label: k for k, label in enumerate(self.labels)}
        answers = [[places[e.label]] if e.label in places else [] for e in examples]
        size = self.config.batch_size if varied else BATCH
        seed = self.config.train.seed
        if not varied:
            return Loader(examples, self.inputs, answers, False, size, seed)
        return Loader(examples, self.inputs, answers, False, size, seed, self.config.vary, self.config.word_dropout)

    def loss(self, network: nn.Module, batch: Batch, part: Tensor, weights: Tensor) -> Tensor:
        """Cross-entropy with smoothed targets, a mean over the sequences each network may learn from, summed."""
        own = part.to(batch.items.device)[batch.items]
        logits = network(batch, own if len(network.members) > 1 else None)  # type: ignore[arg-type]
        count = logits.shape[2]
        total = logits.new_zeros(())
        for k, scores in enumerate(logits):
            losses = functional.cross_entropy(
                scores, batch.answers, reduction="none", label_smoothing=self.config.smoothing if count > 1 else 0.0
            )
            counted = weights.to(scores.device)[batch.answers] * (own != k)
            total = total + (losses * counted).sum() / counted.sum().clamp(min=1e-6)
        return total

    @torch.no_grad()
    def probabilities(self, data: Sequence[Example]) -> Tensor:
        """The probability [N, K] of every label for every sequence, calibrated."""
        self.network.eval()
        device = next(self.network.parameters()).device
        found = torch.zeros(len(data), len(self.labels))
        for batch in self.loader(data).in_order() if data else ():
            sent = Batch(*(part.to(device) for part in batch))
            found[batch.items] = log_mean(self.network(sent), self.temperature).exp().cpu()
        return found

    def predict(self, data: Sequence[Example]) -> list[Answer]:
        """The label of every sequence, in their order, with the probabilities of all labels."""
        rows = self.probabilities(data)
        return [
            Answer(self.labels[int(row.argmax())], dict(zip(self.labels, row.tolist(), strict=True))) for row in rows
        ]

    def stream(self, *, every: int = 10, window: int = 0) -> LabelStream:
        """Answers while a sequence comes, every so many steps; see `karussell.tasks.streams.LabelStream`."""
        return LabelStream(self, every, window)

    def evaluate(self, data: Sequence[Example]) -> dict[str, Any]:
        """Accuracy, the mean recall of the labels and the calibration error, with the floor; JSON values.

        A sequence whose label training never saw counts as wrong, and `unknown_labels` counts them.
        """
        truth = [_known(example) for example in data]
        if not truth:
            raise InputError("Classifier.evaluate: there is not one sequence to measure on; give at least one")
        assert self.floor is not None
        return measure(truth, self.probabilities(data), self.labels, self.floor, self.floor.predict(data))

    def evidence(self, example: Example, label: str | None = None) -> list[float]:
        """What each step says for a label, in nats; that which is predicted unless one is named."""
        if label is not None and label not in self.labels:
            raise InputError(f"Classifier.evidence: there is no label '{label}'; there are {', '.join(self.labels)}")
        [batch] = self.loader([example]).in_order()
        chosen = label or self.predict([example])[0].label
        device = next(self.network.parameters()).device
        sent = Batch(*(part.to(device) for part in batch))
        found = evidence(self.network, sent, torch.tensor([self.labels.index(chosen)], device=device), self.temperature)
        return found[:, 0].tolist()

    def save(self, folder: Path | str) -> None:
        """Write weights, inputs, labels and settings; `load` reads them on any machine."""
        state = {"labels": list(self.labels), "inputs": self.inputs.to_json()}
        content = {"config": to_json(self.config), "temperature": self.temperature, "validation": self.validation}
        tensors = dict(self.network.state_dict())
        if self.floor is not None:
            content["floor"] = self.floor.to_json()
            tensors |= {f"floor.{name}": tensor for name, tensor in self.floor.tensors().items()}
        parts = {VOCABULARY: json.dumps(state, ensure_ascii=False).encode()}
        write_parts(Path(folder), self.task, tensors, content, parts)

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Read a model folder; InputError names the file in it that is missing, cut short or of another model."""
        folder = Path(folder)
        tensors, content, parts = read_parts(folder, cls.task, (VOCABULARY,))
        try:
            state = json.loads(parts[VOCABULARY])
            config = from_json(ClassifierConfig, content["config"])
            inputs, labels = Inputs.from_json(state["inputs"]), words(state["labels"])
            shape, weights = config.network, {n: t for n, t in tensors.items() if not n.startswith("floor.")}
            counts = {**counts_of(shape), "members": config.members}
            fitting(folder, weights, counts, lambda: Members(inputs, len(labels), shape, config.members))
            model = cls(config, inputs, labels)
            model.temperature, model.validation = float(content["temperature"]), dict(content["validation"])
            own = {name.removeprefix("floor."): t for name, t in tensors.items() if name.startswith("floor.")}
            model.floor = Floor.from_json(content["floor"], own) if "floor" in content else None
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder / CONFIG}' is of no classifier ({error}); copy the folder again") from error
        try:
            model.network.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}'; copy the folder again"
            ) from error
        model.network.to(device)
        return model

    def _held_out(self, network: nn.Module, unseen: Sequence[tuple[int, Batch]], folds: int) -> tuple[Tensor, Tensor]:
        """Logits [M, N, K] of sequences not trained on, and their labels [N], in the order of the data.

        With parts M is 1: only the network that never saw a part is asked about it.
        """
        device = next(network.parameters()).device
        logits, answers, items = [], [], []
        for k, batch in unseen:
            sent = Batch(*(part.to(device) for part in batch))
            found = network.members[k](sent)[None] if folds else network(sent)  # type: ignore[index, operator]
            logits.append(found.cpu())
            answers.append(batch.answers)
            items.append(batch.items)
        order = torch.cat(items).argsort()
        return torch.cat(logits, 1)[:, order], torch.cat(answers)[order]


def _numbers(logits: Tensor, answers: Tensor) -> dict[str, float]:
    scores = log_mean(logits, 1.0)
    known = answers >= 0
    error = 1 - float((scores.argmax(1) == answers).double().mean())
    return {"score": error, "error": error, "loss": float(functional.nll_loss(scores[known], answers[known]))}


def _labels(train: Sequence[Example]) -> list[str]:
    labels = sorted({_known(example) for example in train})
    if len(labels) < 2:
        raise InputError(
            f"Classifier.fit: the training sequences have {len(labels)} different labels; there must be at least 2"
        )
    return labels


def _known(example: Example) -> str:
    if not example.label:
        raise InputError(f"the sequence '{example.id}' has no label; give it one, or leave it out")
    return example.label


def label_weights(train: Sequence[Example], labels: Sequence[str], how: str) -> Tensor:
    """What a sequence of each label counts [K]: one, or with "balanced" N / (K n_k)."""
    counts = torch.tensor([sum(example.label == label for example in train) for label in labels]).float()
    return len(train) / (len(labels) * counts) if how == "balanced" else torch.ones(len(labels))


def _digest(train: Sequence[Example], valid: Sequence[Example] | None) -> list[str]:
    digests = []
    for examples in (train, valid or ()):
        found = hashlib.sha256()
        for example in examples:
            found.update(repr((example.id, example.label, example.steps)).encode())
        digests.append(found.hexdigest()[:16])
    return digests
