"""Speech to text: a bidirectional LSTM under CTC, from recordings with transcripts to a folder that works.

model = Transcriber.fit(train, valid, Path("runs/mine"))
model = Transcriber.load("runs/mine")
model.predict("recording.wav").text
"""

import json
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from karussell.ctc import Hypothesis, ctc_loss, greedy, label_error_rate, word_error_rate
from karussell.ctc.search import Decoder
from karussell.data.audio import check_samples, read_audio
from karussell.data.batches import Batch, Loader, pad
from karussell.data.features import Features, Normalisation
from karussell.data.manifest import Utterance
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError, require
from karussell.ops import watch
from karussell.runtime import ChunkedStream, LiveStream, Recogniser
from karussell.runtime.plan import plan_of
from karussell.tasks.config import TranscriberConfig, from_json, to_json
from karussell.tasks.examples import normalised, read
from karussell.tasks.flat_start import Aligned, AlignedEpoch, frame_loss, share
from karussell.tasks.folder import CONFIG, TASK, WEIGHTS, read_model, remove_run, write_model
from karussell.tasks.language import Language, decoder, joined, moved
from karussell.tasks.network import Network
from karussell.tasks.pauses import cut_at_pauses
from karussell.tasks.pretrained import local, write_card
from karussell.train import History, Progress, fit
from karussell.train.randomness import keyed
from karussell.train.together import rank

# frames of one batch while recognising, padding included: bounds the memory
FRAMES = 20_000


class Transcriber:
    """Features, network and vocabulary; made by `fit` or `load`, used by `predict` and `evaluate`."""

    task: ClassVar[str] = TASK

    def __init__(self, config: TranscriberConfig, vocabulary: Vocabulary, normalisation: Normalisation) -> None:
        self.config, self.vocabulary = config, vocabulary
        self.features, self._normalisation = Features(config.features, normalisation), normalisation
        # weights from the seed, and nobody else's generator touched
        with keyed(torch.device("cpu"), config.train.seed):
            self.network = Network(config.features.bands, vocabulary.size, config.network)
        self.network.eval()
        self.history: History | None = None
        self.decoder: Decoder | None = None

    @classmethod
    def fit(
        cls,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        out: Path | str,
        config: TranscriberConfig | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        fresh: Callable[[int], Sequence[Utterance]] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Train on utterances, keep the weights that are best on `valid`, and save the model in `out`.

        A run that was broken off in `out` goes on; with `overwrite` it is removed, once all data was found sound.
        The vocabulary is that of the training transcripts, unless one is given. `fresh(epoch)` gives each epoch
        utterances of its own, a pure function; `train` then only serves to check and to normalise. InputError
        names the first recording that cannot be used, before anything is written.
        """
        config = config or TranscriberConfig()
        train, valid = normalised(train, config.texts), normalised(valid, config.texts)
        vocabulary = vocabulary or Vocabulary.from_texts([u.text for u in train], unit=config.unit)
        examples, unseen = (
            read(part, config.features, vocabulary, config.network.subsampling) for part in (train, valid)
        )
        normalisation = Normalisation.fit(
            list(examples.energies),
            prior_frames=config.prior_frames,
            floor_db=config.floor_db,
            running=config.causal,
        )
        model = cls(config, vocabulary, normalisation)
        loader = Loader(
            fresh or examples.utterances,
            vocabulary,
            model.features,
            config.augment,
            batch_size=config.batch_size,
            seed=config.train.seed,
        )
        check = Loader(unseen.utterances, vocabulary, model.features, batch_size=config.batch_size).in_order()
        task = to_json(config)
        # what of it may change within a run is known to the loop
        del task["train"]
        if overwrite and rank() == 0:
            remove_run(Path(out))
        model.history = fit(
            model.network,
            model.loss,
            lambda epoch: model.batches(loader, epoch),
            lambda network: model.validate(network, check),
            Path(out),
            config.train,
            meta={"task": task, "vocabulary": vocabulary.symbols, "data": [examples.digest, unseen.digest]},
            progress=progress,
            share=share,
        )
        model.network.eval()
        if rank() == 0:
            model.save(out)
        return model

    def batches(self, loader: Loader, epoch: int) -> Sequence[Batch | Aligned]:
        """The batches of an epoch; those of the flat start carry an alignment."""
        batches = loader.epoch(epoch)
        if epoch >= self.config.flat_start * self.config.train.epochs:
            return batches
        return AlignedEpoch(batches, self.config.network.subsampling, self.vocabulary.blank)

    def loss(self, network: nn.Module, batch: Batch | Aligned) -> Tensor:
        """The CTC loss a label of a batch; a transcript too long for its quickened recording counts nothing.

        Of an aligned batch it is the cross-entropy of the frames.
        """
        if isinstance(batch, Aligned):
            return frame_loss(network(batch.batch.x, batch.batch.lengths)[0], batch.labels)
        log_probs, lengths = network(batch.x, batch.lengths)
        total = ctc_loss(
            log_probs,
            batch.targets,
            lengths,
            batch.target_lengths,
            blank=self.vocabulary.blank,
            reduction="sum",
            impossible="zero",
            names=batch.names,
        )
        return total / batch.target_lengths.sum()

    def validate(self, network: nn.Module, batches: Sequence[Batch]) -> dict[str, float]:
        """Label error rate (the score) and loss of the network in its present state."""
        device = next(network.parameters()).device
        losses, references, hypotheses = [], [], []
        for batch in batches:
            losses.append(self.loss(network, batch._replace(x=batch.x.to(device))).item())
            log_probs, lengths = network(batch.x.to(device), batch.lengths)
            hypotheses += [found.tokens for found in greedy(log_probs, lengths, blank=self.vocabulary.blank)]
            sizes = batch.target_lengths.tolist()
            references += [row[:size].tolist() for row, size in zip(batch.targets, sizes, strict=True)]
        rate = label_error_rate(references, hypotheses, resamples=1).rate
        return {"score": rate, "ler": rate, "loss": sum(losses) / len(losses)}

    def predict(
        self,
        audio: Path | str | np.ndarray,
        rate: int | None = None,
        *,
        say: Callable[[str], None] = warnings.warn,
    ) -> Hypothesis:
        """The text of a recording, with times in seconds and a confidence for each label.

        `audio` is a file, or samples [N] with their `rate`. Another rate than the model's is resampled, and said
        through `say`. A recording longer than `config.longest` is cut at pauses.
        """
        return self._recognise([self.samples(audio, rate, say=say)])[0]

    def samples(
        self, audio: Path | str | np.ndarray, rate: int | None = None, *, say: Callable[[str], None] = warnings.warn
    ) -> np.ndarray:
        """Samples at the model's rate, read and resampled as `predict` does."""
        own = self.config.features.rate
        if isinstance(audio, np.ndarray):
            if rate is None:
                raise InputError(f"predict: samples came without a rate; pass rate={own} if that is theirs")
            samples, source, name = check_samples(audio, "samples", rate), rate, "the samples"
            if rate != own:
                samples = require("soxr", extra="audio").resample(samples, rate, own)
        else:
            found = read_audio(audio, own)
            samples, source, name = found.samples, found.source_rate, f"'{audio}'"
        if source != own:
            say(f"{name}: resampled from {source} to {own} samples a second, the model's rate")
        return samples

    def knows(self, language: Language | None) -> Self:
        """Search with a language model, a lexicon or phrases from now on; None goes back to the best path."""
        self.decoder = None if language is None else decoder(self, language)
        return self

    def transcribe(self, data: Sequence[Utterance]) -> list[Hypothesis]:
        """The hypotheses of many utterances, in their order."""
        return self._recognise([utterance.samples(self.config.features.rate) for utterance in data])

    def evaluate(self, data: Sequence[Utterance]) -> dict[str, Any]:
        """Error rates on utterances with transcripts, with 95 % intervals; JSON values."""
        return self.score(data, self.transcribe(data))

    def score(self, data: Sequence[Utterance], hypotheses: Sequence[Hypothesis]) -> dict[str, Any]:
        """The error rates of hypotheses that are there already."""
        texts = [self.config.texts(utterance.text) for utterance in data]
        named = zip(texts, data, strict=True)
        references = [self.vocabulary.encode(text, utterance.id) for text, utterance in named]
        found = label_error_rate(references, [hypothesis.tokens for hypothesis in hypotheses])
        result: dict[str, Any] = {
            "ler": found.rate,
            "low": found.low,
            "high": found.high,
            "substitutions": found.substitutions,
            "deletions": found.deletions,
            "insertions": found.insertions,
            "labels": found.references,
            "utterances": len(data),
        }
        if self.config.unit == "character" and " " in self.vocabulary.symbols:
            words = word_error_rate(texts, [hypothesis.text for hypothesis in hypotheses])
            result |= {"wer": words.rate, "wer_low": words.low, "wer_high": words.high}
        return result

    @torch.no_grad()
    def posteriors(self, recordings: Sequence[np.ndarray]) -> list[Tensor]:
        """Log-probabilities [T', K] of samples [N] at the model's rate, each without padding."""
        self.network.eval()
        device = next(self.network.parameters()).device
        features = [self.features(samples) for samples in recordings]
        order = sorted(range(len(features)), key=lambda item: len(features[item]))
        results: list[Tensor] = [torch.empty(0)] * len(features)
        while order:
            # neighbours in length, as many as the memory is meant for
            most = max(1, FRAMES // len(features[order[-1]]))
            order, taken = order[:-most], order[-most:]
            x, frames = pad([features[item] for item in taken])
            log_probs, lengths = self.network(x.to(device), frames)
            for b, item in enumerate(taken):
                results[item] = log_probs[: int(lengths[b]), b].cpu()
        return results

    def runtime(self) -> Recogniser:
        """This model as it is now, as the runtime that needs no torch computes it: on one core, in float32."""
        weights = _arrays(self.network.state_dict())
        return Recogniser(plan_of(self._facts(), weights, json.loads(self.vocabulary.to_json())))

    def stream(self, *, chunk: float = 1.0, left: float = 4.0, right: float = 1.0) -> LiveStream | ChunkedStream:
        """A live stream: `push(samples)` gives the labels that are certain now, `finish()` the last ones.

        Of a causal model (`config.causal`) it says what `predict` says of the whole; any other runs in chunks, with a
        stated `latency`: see `karussell.runtime.Recogniser.stream`.
        """
        return self.runtime().stream(chunk=chunk, left=left, right=right)

    def save(self, folder: Path | str) -> None:
        """Write weights, vocabulary and configuration; `load` reads them on any machine."""
        config = self._facts() | {"versions": versions(), "engines": self._engines()}
        write_model(Path(folder), self.network.state_dict(), self.vocabulary, config)

    def save_pretrained(self, folder: Path | str, *, run: Path | str | None = None) -> None:
        """Save in the hub's conventions: what `save` writes, and a model card, README.md.

        The card shows the figures of `run`, the folder that training has left; without it, that nothing was measured.
        """
        self.save(folder)
        weights = sum(weight.numel() for weight in self.network.parameters())
        write_card(Path(folder), self.config, self.vocabulary, weights, None if run is None else Path(run))

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Load a folder that `save_pretrained` or `save` has written; a name on a hub is not looked up."""
        return cls.load(local(folder), device=device)

    def _facts(self) -> dict[str, Any]:
        return {"config": to_json(self.config), "normalisation": self._normalisation.to_dict()}

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> Self:
        """Read a model folder; InputError names the file in it that is missing, cut short or of another model."""
        folder = Path(folder)
        tensors, vocabulary, content = read_model(folder)
        # sizes are compared with the weights before memory is taken for anything
        try:
            plan_of(content, _arrays(tensors), json.loads(vocabulary.to_json()))
        except InputError as error:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}': {error}"
            ) from error
        try:
            config = from_json(TranscriberConfig, content["config"])
            model = cls(config, vocabulary, Normalisation.from_dict(content["normalisation"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder / CONFIG}' is of no transcriber ({error}); copy the folder again") from error
        try:
            model.network.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}'; copy the folder again"
            ) from error
        model.network.to(device)
        return model

    @torch.no_grad()
    def _engines(self) -> list[str]:
        """What runs the recurrences of this network on this machine."""
        device = next(self.network.parameters()).device
        with watch() as ran:
            self.network(torch.zeros(8, 1, self.config.features.bands, device=device), torch.tensor([8]))
        return sorted({engine.value for engine in ran})

    def _recognise(self, recordings: Sequence[np.ndarray]) -> list[Hypothesis]:
        rate, bank = self.config.features.rate, self.config.features
        pieces = [cut_at_pauses(samples, rate, longest=self.config.longest) for samples in recordings]
        paired = zip(recordings, pieces, strict=True)
        found = iter(self.posteriors([samples[first:last] for samples, cuts in paired for first, last in cuts]))
        frame_seconds = bank.frame_seconds * self.config.network.subsampling
        results = []
        for cuts in pieces:
            parts = []
            for first, last in cuts:
                log_probs = next(found)
                if self.decoder is not None:
                    [part] = self.decoder.decode(log_probs[:, None])
                else:
                    [part] = greedy(
                        log_probs[:, None],
                        [len(log_probs)],
                        symbols=self.vocabulary.symbols,
                        separator="" if self.vocabulary.unit == "character" else " ",
                        blank=self.vocabulary.blank,
                        frame_seconds=frame_seconds,
                    )
                parts.append(moved(part, first / rate, last / rate))
            results.append(
                joined(parts, " " if " " in self.vocabulary.symbols or self.vocabulary.unit == "word" else "")
            )
        return results


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    on_cpu = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    # numpy has no bfloat16
    return {name: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for name, tensor in on_cpu.items()}


def versions() -> dict[str, str]:
    """What a run was made with."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("karussell", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
