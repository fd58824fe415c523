"""What training may not know: whatever is held out can become noise, and not one weight, count or scale moves."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sequences import QUESTIONS, WAVES, WORDS, questions, waves, words

from karussell.data.labelled import Example
from karussell.tasks.classifier import Classifier
from karussell.tasks.classify.parts import part_of
from karussell.tasks.sequences.inputs import Inputs
from karussell.tasks.tagger import Tagger, held_out

# one epoch: with several, the held-out part chooses among them
ONCE = {"epochs": 1, "ema": 0.0}


def noise(examples: Sequence[Example]) -> list[Example]:
    """The same names, lengths and labels, and nothing else as it was."""
    chance, made = np.random.default_rng(9), []
    for e in examples:
        values = None if e.values is None else 1000 * chance.standard_normal(e.values.shape)
        columns = tuple(tuple(f"x{chance.integers(10**6)}" for _ in column) for column in e.columns)
        made.append(replace(e, values=values, columns=columns))
    return made


def same(one: Any, other: Any) -> None:
    assert one.inputs.to_json() == other.inputs.to_json()
    weights = other.network.state_dict()
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("task", "make", "config"),
    [(Classifier, waves, WAVES), (Classifier, questions, QUESTIONS), (Tagger, words, WORDS)],
    ids=["series", "texts", "tags"],
)
def test_noise_for_validation_moves_no_weight(
    task: Any, make: Callable[[int, int], list[Example]], config: Any, tmp_path: Path
) -> None:
    short = replace(config, train=replace(config.train, **ONCE))
    valid = make(6, 2)
    one, other = (
        task.fit(make(12, 1), part, tmp_path / name, short) for name, part in (("a", valid), ("b", noise(valid)))
    )
    same(one, other)
    assert one.floor.to_json() == other.floor.to_json()
    # the detector detects: of noise to train on it learns something else
    moved = task.fit(noise(make(12, 1)), valid, tmp_path / "c", short)
    assert moved.inputs.to_json() != one.inputs.to_json()


def test_noise_in_the_share_that_is_held_out_moves_no_weight(tmp_path: Path) -> None:
    short = replace(WORDS, train=replace(WORDS.train, **ONCE))
    data = words(20, 1)
    apart = {e.id for e in held_out(data, short.valid_share)[1]}
    changed = [noise([e])[0] if e.id in apart else e for e in data]
    same(*(Tagger.fit(part, None, tmp_path / name, short) for name, part in (("a", data), ("b", changed))))


def test_noise_in_a_part_moves_no_weight_of_the_network_that_is_judged_on_it() -> None:
    train = questions(12, 1)
    part = part_of(train, 2)
    config = replace(QUESTIONS, train=replace(QUESTIONS.train, **ONCE), word_dropout=0.0)
    # the words of all training data are counted; what a network learns of them is not
    model = Classifier(config, Inputs.fit(train, config.inputs), ["person", "place"])
    changed = [replace(e, columns=(e.columns[0][::-1],)) if int(part[k]) == 1 else e for k, e in enumerate(train)]
    gradients = []
    for data in (train, changed):
        [batch] = replace(model.loader(data), batch_size=len(train)).in_order()
        model.network.zero_grad()
        model.loss(model.network, batch, part, torch.ones(2)).backward()
        gradients.append([[p.grad.clone() for p in member.parameters()] for member in model.network.members])
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert any(not torch.equal(a, b) for a, b in zip(gradients[0][0], gradients[1][0], strict=True))
