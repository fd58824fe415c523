"""The packaged spoken digits: 3,000 recordings of six speakers, their splits, and strings of digits joined from them.

Free Spoken Digit Dataset, Jackson et al., CC BY-SA 4.0; see assets/digits/ATTRIBUTION.md.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np

from karussell.data.manifest import Segment, Utterance
from karussell.data.vocabulary import Vocabulary
from karussell.errors import InputError, require

RATE = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
VOCABULARY = Vocabulary(tuple("0123456789"))
OFFICIAL = "official"
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Recording:
    """One digit, spoken once."""

    digit: int
    """What is said, 0 to 9."""
    speaker: str
    """Who says it."""
    index: int
    """Which of the speaker's recordings of this digit, 0 to 49."""
    samples: np.ndarray
    """[N] float32 at 8 kHz, read-only: the 16-bit samples of the source, divided by 32768."""

    @property
    def id(self) -> str:
        """The name of the source file, such as 7_jackson_32."""
        return f"{self.digit}_{self.speaker}_{self.index}"


@dataclass(frozen=True, eq=False)
class Split:
    """Recordings to train on, to choose the model by, and to report; no recording is in two of them."""

    name: str
    """'official', or the speaker that was left out."""
    train: tuple[Recording, ...]
    valid: tuple[Recording, ...]
    test: tuple[Recording, ...]


@cache
def load() -> tuple[Recording, ...]:
    """All recordings, in the order of speaker, digit and index; decoded once a process."""
    soundfile = require("soundfile", extra="audio")
    recordings: list[Recording] = []
    folder = files("karussell.data") / "assets" / "digits"
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for speaker, rows in index["speakers"].items():
        with as_file(folder / f"{speaker}.flac") as path:
            joined, rate = soundfile.read(path, dtype="float32")
        if rate != RATE or len(joined) != sum(row[2] for row in rows):
            raise InputError(f"the packaged digits of {speaker} do not fit their index; install the package again")
        joined.flags.writeable = False
        start = 0
        for digit, number, length, _ in rows:
            recordings.append(Recording(digit, speaker, number, joined[start : start + length]))
            start += length
    return tuple(recordings)


def split(name: str = OFFICIAL) -> Split:
    """The official split, or the one that leaves out the speaker of that name.

    official: recordings 0-4 of every speaker and digit test, 5-9 validate, 10-49 train (2,400): seen speakers.
    A speaker: all of that speaker's recordings test; of the other five, 5-9 validate and the rest train (2,250).
    """
    if name == OFFICIAL:
        groups = [("test" if r.index < 5 else "valid" if r.index < 10 else "train", r) for r in load()]
    elif name in SPEAKERS:
        groups = [("test" if r.speaker == name else "valid" if 5 <= r.index < 10 else "train", r) for r in load()]
    else:
        raise InputError(
            f"there is no split '{name}' of the spoken digits; take one of {OFFICIAL}, {', '.join(SPEAKERS)}"
        )
    train, valid, test = (tuple(r for group, r in groups if group == wanted) for wanted in ("train", "valid", "test"))
    return Split(name, train, valid, test)


def strings(
    recordings: Iterable[Recording],
    seed: int,
    *,
    epoch: int = 0,
    rounds: int = 1,
    digits: tuple[int, int] = (1, 7),
    pause: tuple[float, float] = (0.05, 0.4),
    level_db: float | None = 4.0,
) -> list[Utterance]:
    """Join recordings to strings of digits, one speaker each: a pure function of the arguments.

    A string has `digits[0]` to `digits[1]` digits; the last of a speaker may have fewer than the least.
    In a round every recording is used exactly once; give one part of a split, and nothing crosses. Before, between and
    after the digits lie pauses of `pause` seconds of noise with the spectrum and level of the string's quietest moment.
    The recordings of one speaker differ in loudness by up to 30 dB, which nobody's voice does within a string: each is
    brought to the same level, give or take `level_db`; None leaves them as they were recorded.
    The text "314" stands for three digits; `segments` holds their true places.
    """
    low, high = digits
    if not 1 <= low <= high or not 0 <= pause[0] <= pause[1] or rounds < 1:
        raise InputError(
            f"strings: needed 1 <= digits from low to high, pauses from 0 up and rounds >= 1, "
            f"got digits={digits}, pause={pause}, rounds={rounds}"
        )
    speakers: dict[str, list[Recording]] = {}
    for recording in recordings:
        speakers.setdefault(recording.speaker, []).append(recording)
    if not speakers:
        raise InputError("strings needs at least one recording, got none")
    made: list[Utterance] = []
    for speaker, own in sorted(speakers.items()):
        # the key holds the speaker's name, so that a speaker's strings do not depend on who else is there
        rng = np.random.default_rng([seed, epoch, *speaker.encode()])
        order = [own[k] for _ in range(rounds) for k in rng.permutation(len(own))]
        while order:
            count = int(rng.integers(low, high + 1))
            made.append(_joined(f"{speaker}-{epoch}-{len(made)}", order[:count], pause, level_db, rng))
            order = order[count:]
    return made


def singles(recordings: Iterable[Recording]) -> list[Utterance]:
    """The recordings as they are, one digit an utterance."""
    return [
        Utterance(r.id, r.samples, str(r.digit), r.speaker, RATE, (Segment(0.0, len(r.samples) / RATE, str(r.digit)),))
        for r in recordings
    ]


def _joined(
    name: str,
    parts: Sequence[Recording],
    pause: tuple[float, float],
    level_db: float | None,
    rng: np.random.Generator,
) -> Utterance:
    gains = np.ones(len(parts))
    if level_db is not None:
        spread = 10 ** (rng.uniform(-level_db, level_db, len(parts)) / 20)
        gains = LEVEL / np.array([_level(part.id) for part in parts]) * spread
    spectrum = min((gain**2 * _background(part.id) for gain, part in zip(gains, parts, strict=True)), key=np.sum)
    lengths = np.rint(rng.uniform(*pause, len(parts) + 1) * RATE).astype(np.int64)
    pauses = np.split(_noise(spectrum, int(lengths.sum()), rng), np.cumsum(lengths)[:-1])
    pieces, segments, at = [pauses[0]], [], len(pauses[0])
    for gain, part, rest in zip(gains.astype(np.float32), parts, pauses[1:], strict=True):
        # a constant offset would make a click at either end of the pause
        voice = gain * (part.samples - part.samples.mean())
        segments.append(Segment(at / RATE, (at + len(voice)) / RATE, str(part.digit)))
        pieces += [voice, rest]
        at += len(voice) + len(rest)
    samples = np.clip(np.concatenate(pieces), -1.0, 1.0)
    text = "".join(segment.text for segment in segments)
    return Utterance(name, samples, text, parts[0].speaker, RATE, tuple(segments))


@cache
def _level(name: str) -> float:
    """Root mean square of the louder half of a recording's 10 ms frames."""
    samples = _by_id()[name].samples
    samples = samples - samples.mean()
    power = np.sort((samples[: len(samples) // 80 * 80].reshape(-1, 80) ** 2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))


@cache
def _background(name: str) -> np.ndarray:
    """Power spectrum [129] a sample of the three quietest of a recording's 32 ms frames."""
    samples = _by_id()[name].samples
    frames = np.lib.stride_tricks.sliding_window_view(samples - samples.mean(), 256)[::80]
    window = np.hanning(256)
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / (window**2).sum()
    return power[np.argsort(power.sum(axis=1))[:3]].mean(axis=0)


@cache
def _by_id() -> dict[str, Recording]:
    return {recording.id: recording for recording in load()}


def _noise(spectrum: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """White noise [n] in the colour of a power spectrum, somewhat below its level."""
    if n == 0:
        return np.zeros(0, np.float32)
    # a multiple of 256 transforms quickly; the surplus is cut off
    size = -(-n // 256) * 256
    white = np.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    power = np.interp(np.linspace(0, 1, len(white)), np.linspace(0, 1, len(spectrum)), spectrum)
    return np.fft.irfft(white * np.sqrt(power * rng.uniform(0.3, 1.0)), size)[:n].astype(np.float32)
