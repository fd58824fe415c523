import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from karussell.data import Augment, Batches, Features, FilterBank, Loader, Segment, Utterance, digits, pad, write_audio
from karussell.errors import InputError


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=100),
    st.integers(1, 2000),
    st.integers(1, 20),
    st.integers(0, 2**31),
    st.integers(0, 1000),
)
def test_batches_hold_every_item_once_within_their_limits(
    lengths: list[int], frames: int, size: int, seed: int, epoch: int
) -> None:
    batches = Batches(lengths, batch_frames=frames, batch_size=size, seed=seed)
    for plan in (batches.epoch(epoch), batches.in_order()):
        assert sorted(k for batch in plan for k in batch) == list(range(len(lengths)))
        for batch in plan:
            assert len(batch) <= size
            assert len(batch) == 1 or len(batch) * max(lengths[k] for k in batch) <= frames
    assert batches.epoch(epoch) == Batches(lengths, frames, size, seed).epoch(epoch)


def test_seeds_and_epochs_differ_and_lengths_are_alike() -> None:
    lengths = np.random.default_rng(0).integers(50, 500, 1000).tolist()
    batches = Batches(lengths, batch_size=20, seed=1)
    assert batches.epoch(0) != batches.epoch(1)
    assert batches.epoch(0) != Batches(lengths, batch_size=20, seed=2).epoch(0)
    padding = 1 - sum(lengths) / sum(len(b) * max(lengths[k] for k in b) for b in batches.epoch(0))
    assert padding < 0.2
    longest = [max(lengths[k] for k in b) for b in batches.epoch(0)]
    assert longest != sorted(longest)


def test_bad_limits() -> None:
    for options in ({}, {"batch_size": 0}, {"batch_frames": -5}):
        with pytest.raises(InputError, match="batch_frames or batch_size"):
            Batches([1, 2], **options)
    with pytest.raises(InputError, match="at least one item"):
        Batches([], batch_size=1)


def test_pad_is_time_major_and_zero_beyond() -> None:
    rows = [np.full((n, 3), n, np.float32) for n in (4, 1, 2)]
    x, lengths = pad(rows)
    assert x.shape == (4, 3, 3)
    assert (x.dtype, lengths.dtype, lengths.tolist()) == (torch.float32, torch.int64, [4, 1, 2])
    for b, row in enumerate(rows):
        assert torch.equal(x[: len(row), b], torch.from_numpy(row))
        assert not x[len(row) :, b].any()


def loader(augment: Augment | None = None, seed: int = 0) -> Loader:
    valid = digits.split().valid[:60]
    features = Features.fit(FilterBank(bands=24), [r.samples for r in valid])
    return Loader(
        lambda epoch: digits.strings(valid, seed, epoch=epoch),
        digits.VOCABULARY,
        features,
        augment,
        batch_frames=2000,
        seed=seed,
    )


def test_a_batch_is_a_pure_function_of_seed_epoch_and_index() -> None:
    first, again = loader(Augment()).epoch(2), loader(Augment()).epoch(2)
    assert len(first) == len(again) > 1
    # asked for in another order, as after a resume
    for index in reversed(range(len(first))):
        for a, b in zip(first[index], again[index], strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    for other in (loader(Augment()).epoch(3), loader(Augment(), seed=1).epoch(2)):
        assert first[0].x.shape != other[0].x.shape or not torch.equal(first[0].x, other[0].x)
    with pytest.raises(IndexError):
        first[len(first)]
    assert torch.equal(first[1:][0].x, first[1].x)


def test_augmentation_is_keyed_by_the_utterance_and_not_by_its_batch() -> None:
    wide, narrow = loader(Augment()), loader(Augment())
    narrow = Loader(wide.utterances, wide.vocabulary, wide.features, wide.augment, batch_size=1)

    def rows(source: Loader) -> dict[str, torch.Tensor]:
        return {name: batch.x[: batch.lengths[b], b] for batch in source.epoch(1) for b, name in enumerate(batch.names)}

    one, two = rows(wide), rows(narrow)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_targets_are_the_texts() -> None:
    source = loader()
    texts = {u.id: u.text for u in source.utterances(0)}
    seen = []
    for batch in source.in_order():
        assert batch.x.shape[1] == len(batch.lengths) == len(batch.names) == len(batch.targets)
        assert int(batch.lengths.max()) == len(batch.x)
        for b, name in enumerate(batch.names):
            ids = batch.targets[b, : batch.target_lengths[b]].tolist()
            assert digits.VOCABULARY.decode(ids) == texts[name]
            assert not batch.targets[b, batch.target_lengths[b] :].any()
        seen += batch.names
    assert sorted(seen) == sorted(texts)


@pytest.mark.parametrize("augment", [None, Augment()])
def test_alignment_is_the_true_places_stretched_with_the_utterance(augment: Augment | None) -> None:
    for batch in loader(augment).epoch(0):
        assert batch.alignment is not None
        assert batch.alignment.shape == batch.x.shape[:2]
        for b, length in enumerate(batch.lengths.tolist()):
            labels = batch.alignment[:, b]
            assert (labels[length:] == -100).all()
            runs = torch.unique_consecutive(labels[:length])
            # pauses are longer than a frame, so that taking blanks out leaves the target
            assert torch.equal(runs[runs > 0], batch.targets[b, : batch.target_lengths[b]])
            assert (runs[::2] == 0).all()
    quiet, loud = [], []
    for batch in loader().in_order():
        level = batch.x.mean(dim=2)
        quiet.append(level[batch.alignment == 0])
        loud.append(level[batch.alignment > 0])
    assert torch.cat(loud).mean() - torch.cat(quiet).mean() > 1


def test_no_alignment_without_places_or_with_longer_labels() -> None:
    u = digits.strings(digits.split().valid[:5], 0)[0]
    plain = Utterance(u.id, u.audio, u.text, rate=8000)
    whole = Utterance(u.id, u.audio, u.text, rate=8000, segments=(Segment(0.0, 1.0, "12"),))
    for other in (plain, whole):
        batch = Loader([other], digits.VOCABULARY, Features(), batch_size=1).in_order()[0]
        assert batch.alignment is None


def test_files_and_memory_give_the_same_batches(tmp_path: Path) -> None:
    memory = digits.strings(digits.split().valid[:60], 0)
    on_disk = []
    for k, u in enumerate(memory):
        path = tmp_path / f"{k}.flac"
        write_audio(path, u.samples(8000), 8000)
        on_disk.append(Utterance(u.id, path, u.text))
    features = Features(FilterBank(bands=24))
    one, two = (Loader(us, digits.VOCABULARY, features, batch_size=4).in_order() for us in (memory, on_disk))
    assert one.plan == two.plan
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.lengths, b.lengths)
        # the files hold 16 bits
        assert (a.x - b.x).abs().mean() < 0.05


def test_a_bad_transcript_stops_before_the_first_step() -> None:
    u = Utterance("u9", np.zeros(8000, np.float32), "12a", rate=8000)
    with pytest.raises(InputError, match="utterance 'u9' holds the character 'a'"):
        Loader([u], digits.VOCABULARY, Features(), batch_size=1).epoch(0)
    with pytest.raises(InputError, match="no utterances"):
        Loader([], digits.VOCABULARY, Features(), batch_size=1).epoch(0)


def test_import_needs_numpy_and_torch_only() -> None:
    heavy = "soundfile soxr kaldi_native_fbank jiwer matplotlib rich jsonargparse accelerate scipy pandas"
    code = f"import sys, karussell.data; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
