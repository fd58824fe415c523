"""What a network sees: scaling against its definition, gaps, variations, and the encoder's invariances."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sequences import measured, waves, words

from karussell.data.labelled import Example
from karussell.errors import InputError
from karussell.tasks.sequences.batches import Loader
from karussell.tasks.sequences.encoder import Encoder, EncoderConfig
from karussell.tasks.sequences.inputs import InputConfig, Inputs
from karussell.tasks.sequences.scaling import Scaling, fill
from karussell.tasks.sequences.vary import Vary


def test_scaling_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    rows = [3 + 2 * rng.normal(size=(n, 2)) for n in (5, 9)]
    rows[1][3, 0] = np.nan
    scaling = Scaling.fit([Example(str(k), row) for k, row in enumerate(rows)], steps=True, own=True)
    filled = [fill(row.astype(np.float32)) for row in rows]
    everything = np.concatenate(filled).astype(np.float64)
    mean, std = everything.mean(0), everything.std(0)
    scaled = [(row - mean) / std for row in filled]
    changes = [np.diff(row, axis=0, prepend=row[:1]) for row in scaled]
    spread = np.sqrt((np.concatenate(changes) ** 2).mean(0))
    own = [(row - row.mean(0)) / row.std(0) for row in filled]
    for k, row in enumerate(rows):
        expected = np.concatenate([scaled[k], changes[k] / spread, own[k], np.isnan(row)], 1)
        np.testing.assert_allclose(scaling(row.astype(np.float32)), expected, rtol=1e-4, atol=1e-5)
    assert (scaling.size, scaling.channels) == (8, 2)


def test_series_that_came_normalised_are_shown_once() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(50, 1)) for _ in range(4)]
    rows = [(row - row.mean()) / row.std() for row in rows]
    scaling = Scaling.fit([Example(str(k), row) for k, row in enumerate(rows)], steps=False, own=True)
    assert not scaling.own
    assert not scaling.missing
    assert scaling.size == 1


def test_constant_channels_stay_finite() -> None:
    examples = [Example("a", np.full((6, 1), 7e5)), Example("b", np.full((1, 1), 7e5))]
    scaling = Scaling.fit(examples, steps=True, own=True)
    assert np.abs(scaling(examples[0].values)).max() < 1
    assert np.isfinite(scaling(np.full((3, 1), -1e30, np.float32))).all()


def test_gaps_are_filled_along_straight_lines() -> None:
    gappy = np.array([[np.nan, 1, np.nan], [2, np.nan, np.nan], [np.nan, 4, np.nan], [4, np.nan, np.nan]])
    expected = [[2, 1, 0], [2, 2.5, 0], [3, 4, 0], [4, 4, 0]]
    np.testing.assert_allclose(fill(gappy), expected)


def test_a_variation_is_near_what_it_varies() -> None:
    [wave] = waves(1, 0)
    vary = Vary(warp=0.05, shift=0.02, size=0.05, noise=0.01, mask=0.1)
    rng = np.random.default_rng(0)
    varied = [vary(wave.values, rng) for _ in range(20)]
    assert all(v.shape == wave.values.shape and np.isfinite(v).all() for v in varied)
    assert not np.array_equal(varied[0], varied[1])
    still = Vary(0, 0, 0, 0, 0)
    np.testing.assert_allclose(still(wave.values, rng), wave.values, atol=1e-5)
    short = np.ones((3, 1), np.float32)
    assert vary(short, rng) is short
    with pytest.raises(InputError, match=r"vary\.warp is 2"):
        Vary(warp=2)


def test_a_batch_depends_on_its_place_in_the_run_alone() -> None:
    data = waves(12, 1)
    inputs = Inputs.fit(data, InputConfig())
    loader = Loader(data, inputs, [[0]] * 12, False, 4, 7, Vary(), 0.0)
    again = loader.epoch(3)
    for index in (2, 0, 1):
        for one, other in zip(loader.epoch(3)[index], again[index], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not torch.equal(loader.epoch(3)[0].values, loader.epoch(4)[0].values)


@pytest.mark.parametrize("halvings", [0, 2])
def test_what_lies_beyond_a_length_changes_nothing(halvings: int) -> None:
    data = waves(6, 1, channels=2)
    inputs = Inputs.fit(data, InputConfig())
    encoder = Encoder(inputs, EncoderConfig(channels=(6, 6), widths=(3, 5), halvings=halvings, hidden=4)).eval()
    [batch] = Loader(data, inputs, [[0]] * 6, False, 6).in_order()
    beyond = torch.arange(len(batch.values))[:, None] >= batch.lengths
    noisy = batch._replace(values=torch.where(beyond[..., None], 99.0, batch.values))
    one, lengths = encoder(batch)
    other, same = encoder(noisy)
    assert lengths.tolist() == same.tolist() == [-(-n // 2**halvings) for n in batch.lengths.tolist()]
    inside = torch.arange(len(one))[:, None] < lengths
    torch.testing.assert_close(one[inside], other[inside], rtol=0, atol=0)


def test_words_and_measurements_stand_side_by_side() -> None:
    both = [Example(e.id, np.ones((e.steps, 3)), e.columns, tags=e.tags) for e in words(4, 1)]
    inputs = Inputs.fit(both, InputConfig(steps=False, own=False))
    encoder = Encoder(inputs, EncoderConfig(words=5, columns=2, letters=3, hidden=4))
    [batch] = Loader(both, inputs, [[0] * e.steps for e in both], True, 4).in_order()
    assert encoder.look(batch).shape[2] == 3 + 5 + 2 + 2 * 3
    assert Inputs.from_json(inputs.to_json()).to_json() == inputs.to_json()


def test_shapes_that_make_no_network_are_named() -> None:
    good = EncoderConfig()
    for changes in ({"channels": (0,)}, {"widths": ()}, {"hidden": 0}, {"letters": -1}, {"dropout": 1.0}):
        with pytest.raises(InputError, match="network"):
            replace(good, **changes)
    with pytest.raises(InputError, match="not one sequence"):
        Inputs.fit([], InputConfig())
    assert measured(1, 0)[0].steps == 12
