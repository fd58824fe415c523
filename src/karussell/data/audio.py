"""Audio files in and out: mono float32 at one rate, or one clear sentence why not."""

import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from karussell.data.files import write_atomic
from karussell.errors import InputError, require

SHORTEST_SECONDS = 0.05
LONGEST_SECONDS = 4 * 3600.0
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
BLOCK_SECONDS = 30


@dataclass(frozen=True, eq=False)
class Audio:
    """A recording in memory, and what the file held before it was mixed down and resampled."""

    samples: np.ndarray
    """[N] float32, mono, in [-1, 1]."""
    rate: int
    """Samples a second of `samples`."""
    source_rate: int
    """Samples a second of the file; other than `rate` if it was resampled."""
    channels: int
    """Channels of the file, averaged if 2."""

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return len(self.samples) / self.rate

    @property
    def resampled(self) -> bool:
        """Whether the file's rate was another one."""
        return self.source_rate != self.rate


def read_audio(path: Path | str, rate: int = 8000, *, start: float = 0.0, seconds: float | None = None) -> Audio:
    """Read a wav, flac, ogg or mp3 file as mono samples at `rate`; two channels are averaged.

    `start` and `seconds` cut a part out of the file. Memory is bounded: the file is decoded and resampled in
    blocks, and more than four hours are refused unless a cut is asked for.
    InputError for a file that is missing, unreadable, empty, shorter than 0.05 s, broken off, with more than two
    channels, or with samples that are not finite or far outside [-1, 1].
    """
    path = Path(path)
    with _open(path) as file:
        _check(path, file.samplerate, file.channels, file.frames, start, seconds)
        first = round(start * file.samplerate)
        count = file.frames - first
        if seconds is not None:
            count = min(count, round(seconds * file.samplerate))
        if first:
            file.seek(first)
        blocks = _mono_blocks(path, file, count)
        if file.samplerate == rate:
            parts = list(blocks)
        else:
            stream = require("soxr", extra="audio").ResampleStream(file.samplerate, rate, 1, dtype="float32")
            parts = [stream.resample_chunk(block) for block in blocks]
            parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
        source_rate, channels = file.samplerate, file.channels
    samples = np.clip(np.concatenate(parts), -1.0, 1.0)
    return Audio(samples, rate, source_rate, channels)


def audio_seconds(path: Path | str) -> float:
    """The length of a file in seconds, from its header alone.

    The errors are those of `read_audio`, as far as a header shows them.
    """
    path = Path(path)
    with _open(path) as file:
        _check(path, file.samplerate, file.channels, file.frames, 0.0, 0.0)
        return file.frames / file.samplerate


def write_audio(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write mono samples [N] in [-1, 1]; the file's ending names the format (wav and flac hold 16 bits a sample)."""
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(f"cannot write audio to '{path}': its ending must be one of {', '.join(FORMATS)}")
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InputError(f"cannot write '{path}': samples must be a row of finite numbers, got shape {samples.shape}")
    buffer = io.BytesIO()
    soundfile = require("soundfile", extra="audio")
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), rate, format=form)
    write_atomic(path, buffer.getvalue())


def check_samples(samples: np.ndarray, name: str, rate: int) -> np.ndarray:
    """Samples in memory as float32 [N], held to the rules of `read_audio`; `name` stands in the error."""
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise InputError(
            f"'{name}': samples must be one row, [N], got shape {list(samples.shape)}; average the channels first"
        )
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            f"'{name}': samples are {samples.dtype}, needed floats in [-1, 1]; divide 16-bit samples by 32768"
        )
    if len(samples) < SHORTEST_SECONDS * rate:
        raise InputError(_too_short(name, len(samples) / rate))
    _check_values(name, samples)
    return np.ascontiguousarray(np.clip(samples, -1.0, 1.0), np.float32)


def _open(path: Path) -> Any:
    soundfile = require("soundfile", extra="audio")
    try:
        found = path.stat()
    except FileNotFoundError:
        raise InputError(f"there is no audio file '{path}'; check the path") from None
    except (OSError, ValueError) as error:
        # a name that is too long, or no name at all
        raise InputError(f"there is no audio file '{path}' ({error}); check the path") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"'{path}' is a folder, needed an audio file (wav, flac, ogg or mp3)")
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise InputError(f"the audio file '{path}' is empty (0 bytes); copy or record it again")
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise InputError(_unreadable(path, error)) from error
    except PermissionError as error:
        raise InputError(
            f"the audio file '{path}' may not be read: {error.strerror}; change its permissions"
        ) from error


def _check(path: Path, rate: int, channels: int, frames: int, start: float, seconds: float | None) -> None:
    if channels > 2:
        raise InputError(
            f"'{path}' has {channels} channels, needed 1 or 2; "
            f"write the channel that holds the voice to a file of its own"
        )
    length = frames / rate
    if length < SHORTEST_SECONDS:
        raise InputError(_too_short(path, length))
    if start < 0 or start >= length:
        raise InputError(f"cannot start at {start:g} s in '{path}', which is {length:g} s long")
    kept = length - start if seconds is None else seconds
    if kept > LONGEST_SECONDS:
        raise InputError(
            f"'{path}' is {length / 3600:.1f} hours long and at most {LONGEST_SECONDS / 3600:g} are read at once; "
            f"cut it into parts"
        )


def _mono_blocks(path: Path, file: Any, count: int) -> Iterator[np.ndarray]:
    soundfile = require("soundfile", extra="audio")
    done = 0
    while done < count:
        want = min(BLOCK_SECONDS * file.samplerate, count - done)
        try:
            block = file.read(want, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(_unreadable(path, error)) from error
        if len(block) < want:
            # the frame count of an mp3 is an estimate where its header holds none
            if file.format == "MP3" and done + len(block) > 0.9 * count:
                yield from [] if len(block) == 0 else [_mixed(path, block)]
                return
            raise InputError(
                f"'{path}' breaks off after {(done + len(block)) / file.samplerate:.2f} s of "
                f"{count / file.samplerate:.2f} s; copy or record it again"
            )
        done += len(block)
        yield _mixed(path, block)


def _mixed(path: Path, block: np.ndarray) -> np.ndarray:
    _check_values(path, block)
    return block.mean(axis=1) if block.shape[1] > 1 else np.ascontiguousarray(block[:, 0])


def _check_values(name: Path | str, samples: np.ndarray) -> None:
    if not np.isfinite(samples).all():
        raise InputError(f"'{name}' holds samples that are not numbers (NaN or infinite); export it again")
    # lossy codecs overshoot a little; a peak far above 1 is a file of raw integers stored as floats
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 8.0:
        raise InputError(f"'{name}' holds samples up to {peak:.0f}, needed -1 to 1; divide them by the full scale")


def _too_short(name: Path | str, length: float) -> str:
    return f"'{name}' is {length:.3f} s long, needed at least {SHORTEST_SECONDS} s; leave it out or record it again"


def _unreadable(path: Path, error: Exception) -> str:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return f"'{path}' cannot be read as audio ({reason}); needed a sound wav, flac, ogg or mp3 file"
