"""Models of every task but transcription as ONNX, compared in ONNX Runtime before they are kept."""

from pathlib import Path

import numpy as np

from karussell.data.labelled import Example
from karussell.serve.onnx import Exported, kept, session
from karussell.serve.onnx_forecaster import forecaster
from karussell.serve.onnx_sequences import classifier, tagger
from karussell.tasks.classifier import Classifier
from karussell.tasks.forecast.windows import Batch as Windows
from karussell.tasks.forecaster import Forecaster
from karussell.tasks.sequences.batches import Batch
from karussell.tasks.tagger import Tagger

CLOSE = 1e-4
"""Largest difference of a probability, or of a forecast in units of its window's scale."""


def export_task(model: Classifier | Tagger | Forecaster, path: Path | str) -> Exported:
    """Write a model as ONNX; KarussellError, and no file, if ONNX Runtime does not compute what the model does."""
    if isinstance(model, Forecaster):
        content = forecaster(model)
        difference = _compare_windows(model, content)
    else:
        content = classifier(model) if isinstance(model, Classifier) else tagger(model)
        difference = _compare_sequences(model, content)
    return kept(Path(path), content, difference, CLOSE)


def feed(model: Classifier | Tagger, batch: Batch) -> dict[str, np.ndarray]:
    """A batch of `model.loader(...)` as the inputs of the file."""
    found = {"lengths": batch.lengths.numpy()}
    if model.inputs.size:
        found["values"] = batch.values.numpy()
    if model.inputs.columns:
        found["numbers"] = batch.numbers.numpy()
        if model.config.network.letters:
            found["spellings"], found["spelling_lengths"] = batch.spellings.numpy(), batch.spelling_lengths.numpy()
            found["words"] = batch.words.numpy()
    return found


def windows(model: Forecaster, batch: Windows) -> dict[str, np.ndarray]:
    """A batch of `model.windows(...)` as the inputs of the file."""
    past, future, static = model.facts.widths
    found = {
        "context": batch.context,
        "there": batch.there,
        "centre": batch.centre.float(),
        "scale": batch.scale.float(),
    }
    found |= {"past": batch.past} if past else {}
    found |= {"future": batch.future} if future else {}
    found |= {"static": batch.static} if static else {}
    return {name: value.numpy() for name, value in found.items()}


def _compare_sequences(model: Classifier | Tagger, content: bytes) -> float:
    chance, run, worst = np.random.default_rng(0), session(content).run, 0.0
    for lengths in ((1,), (17, 3, 1), (2, 40)):
        examples = [_example(model, chance, steps, k) for k, steps in enumerate(lengths)]
        [batch] = model.loader(examples).in_order()
        if isinstance(model, Classifier):
            found = run(["probabilities"], feed(model, batch))[0]
            expected = model.probabilities(examples).numpy()[batch.items.numpy()]
            worst = max(worst, float(np.abs(found - expected).max()))
            continue
        tags, emissions = run(None, feed(model, batch))
        [(_, expected)] = model._emissions(model.network, examples)
        inside = np.arange(len(emissions))[:, None] < batch.lengths.numpy()
        scale = max(1.0, float(expected.abs().max()))
        worst = max(worst, float(np.abs(emissions - expected.numpy())[inside].max()) / scale)
        for b, path in enumerate(model.network.crf.decode(expected, batch.lengths)):
            if tags[: len(path), b].tolist() != path:
                worst = np.inf
    return worst


def _example(model: Classifier | Tagger, chance: np.random.Generator, steps: int, k: int) -> Example:
    inputs = model.inputs
    columns = tuple(
        tuple(str(word) for word in chance.choice([*column.known[:50], "neverseen"], steps))
        for column in inputs.columns
    )
    values = None if inputs.scaling is None else chance.standard_normal((steps, inputs.channels)) * inputs.scaling.std
    return Example(f"random {k}", values, columns)


def _compare_windows(model: Forecaster, content: bytes) -> float:
    import torch

    config, chance = model.config, np.random.default_rng(0)
    past, future, static = model.facts.widths
    rows, context, horizon = 3, config.context, config.horizon
    shapes = ((rows, context), (rows, context), (rows, context, past), (rows, horizon, future), (rows, static))
    parts = [torch.from_numpy(chance.standard_normal(shape).astype(np.float32)) for shape in shapes]
    parts[1] = (parts[1] > -1).float()
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    x, there, before, after, about = parts
    target, weight = torch.zeros(rows, horizon), torch.ones(rows)
    batch = Windows(x, there, before, after, about, target, weight, 10 * scale, scale)
    names = ["quantiles", "mean"] if config.distribution == "quantiles" else ["raw"]
    found = session(content).run(names, windows(model, batch))
    if config.distribution == "quantiles":
        expected = model.forecast_batch(batch)
        pairs = zip(found, (expected.quantiles, expected.mean), strict=True)
        return max(float(np.abs(a - b).max()) for a, b in pairs)
    with torch.no_grad():
        return float(np.abs(found[0] - model.network(batch).numpy()).max())
