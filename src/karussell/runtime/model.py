"""A trained transcriber without torch: load its folder, predict, stream.

model = runtime.load("runs/digits")
model.predict("recording.wav").text
"""

import wave
from pathlib import Path

import numpy as np

from karussell.errors import InputError
from karussell.runtime.decode import Greedy, Label, Transcript, transcript
from karussell.runtime.folder import read_folder
from karussell.runtime.live import ChunkedStream, LiveStream
from karussell.runtime.pauses import cut_at_pauses
from karussell.runtime.plan import Plan, plan_of
from karussell.runtime.stream import Engine

TASK = "transcribe"
SHORTEST_SECONDS = 0.05
# what a stranger's file may hold
LONGEST_SECONDS = 4 * 3600.0


class Recogniser:
    """A transcriber that computes in float32 on one core; not for several threads at once, its streams are."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.engine = plan, Engine(plan)

    @property
    def rate(self) -> int:
        """Samples a second that the model hears."""
        return self.plan.bank.rate

    def predict(self, audio: Path | str | np.ndarray, rate: int | None = None) -> Transcript:
        """The text of a recording with times and confidences: a wav file, or samples [N] with their `rate`.

        Nothing is resampled here: InputError where the rate is not the model's. A recording longer than the model's
        `longest` is cut at pauses, as `karussell.tasks.Transcriber` does.
        """
        samples = self._samples(audio, rate)
        labels: list[Label] = []
        score, plan = 0.0, self.plan
        for first, last in cut_at_pauses(samples, self.rate, longest=plan.longest):
            greedy = Greedy(plan.symbols, plan.blank, plan.step_seconds, first / self.rate)
            found = greedy.push(self.engine.posteriors(samples[first:last])) + greedy.finish()
            end = last / self.rate
            labels += [label._replace(end=min(label.end, end)) for label in found]
            score += greedy.score
        return transcript(labels, self.separator, score)

    def stream(
        self, *, chunk: float = 1.0, left: float = 4.0, right: float = 1.0, whole: bool = False
    ) -> LiveStream | ChunkedStream:
        """A live stream: `push(samples)` gives the labels that are certain now, `finish()` the last ones.

        A causal model gives exactly what `predict` gives for the whole; its `latency` is what it looks ahead. Any other
        model hears pieces: every `chunk` seconds it is run on them, on `left` seconds before and `right` seconds after,
        and answers for the chunk. Its `latency` is chunk + right, and its text may differ from that of the whole.
        `whole` refuses that.
        """
        if self.plan.streams:
            return LiveStream(self.engine)
        if whole:
            raise InputError(
                "stream: this model needs the whole recording (it reads both ways, or normalises by the utterance). "
                "Train one with --causal true, or let it run in chunks"
            )
        return ChunkedStream(self.engine, chunk, left, right)

    @property
    def separator(self) -> str:
        """What stands between two labels of a text."""
        return " " if self.plan.unit == "word" else ""

    def _samples(self, audio: Path | str | np.ndarray, rate: int | None) -> np.ndarray:
        if isinstance(audio, np.ndarray):
            if rate is None:
                raise InputError(f"predict: samples came without a rate; pass rate={self.rate} if that is theirs")
            samples, name = audio, "the samples"
        else:
            samples, rate = read_wave(Path(audio))
            name = f"'{audio}'"
        if rate != self.rate:
            raise InputError(f"{name}: {rate} samples a second, and the model hears {self.rate}; resample them first")
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise InputError(f"{name}: {samples.dtype} {list(samples.shape)}; needed one row of floats in [-1, 1]")
        if len(samples) < SHORTEST_SECONDS * rate:
            raise InputError(f"{name}: {len(samples) / rate:.3f} s long, needed at least {SHORTEST_SECONDS} s")
        return np.ascontiguousarray(np.clip(samples, -1.0, 1.0), np.float32)


def load(folder: Path | str) -> Recogniser:
    """A model from its folder; InputError names the file in it that is missing, damaged or foreign."""
    config, tensors, vocabulary = read_folder(Path(folder))
    if config["task"] != TASK:
        raise InputError(
            f"'{folder}' holds a model of the task '{config['task']}'; the runtime runs '{TASK}' alone so far"
        )
    try:
        return Recogniser(plan_of(config, tensors, vocabulary))
    except InputError as error:
        raise InputError(f"'{folder}' cannot be used: {error}") from error


def read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Samples [N] in [-1, 1] and rate of a wav file with 16 bits a sample; two channels are averaged."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            count = file.getnframes()
            if width != 2 or channels not in (1, 2) or rate < 1:
                raise InputError(f"'{path}': {8 * width} bits and {channels} channels; needed 16 bits and 1 or 2")
            if count > LONGEST_SECONDS * rate:
                raise InputError(f"'{path}' lasts over {LONGEST_SECONDS / 3600:g} hours; cut it into parts")
            data = file.readframes(count)
    except FileNotFoundError:
        raise InputError(f"there is no audio file '{path}'; check the path") from None
    except (wave.Error, EOFError, OSError, RuntimeError) as error:
        raise InputError(f"'{path}' is no wav file that can be read here ({error})") from error
    values = np.frombuffer(data[: len(data) // (2 * channels) * 2 * channels], "<i2").astype(np.float32) / 32768
    return (values.reshape(-1, channels).mean(1) if channels > 1 else values), rate
