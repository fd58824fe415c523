"""Utterances, and the manifest files that list them."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from karussell.data.audio import audio_seconds, check_samples, read_audio
from karussell.errors import InputError, require

AUDIO_COLUMNS = ("audio", "audio_filepath", "path")


@dataclass(frozen=True)
class Segment:
    """Where one label of an utterance lies, in seconds; known only where the utterance was put together."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, eq=False)
class Utterance:
    """One piece of speech and what was said: the one thing that features and batches are made from."""

    id: str
    """A name that is unique in its list."""
    audio: Path | np.ndarray
    """A file, or samples [N] float in [-1, 1]."""
    text: str
    """The transcript."""
    speaker: str | None = None
    """Who speaks, if known."""
    rate: int | None = None
    """Samples a second of `audio` where it is samples; a file says it itself."""
    segments: tuple[Segment, ...] = ()
    """The true places of the labels, where they are known."""

    def samples(self, rate: int) -> np.ndarray:
        """Mono float32 samples [N] at `rate`: read, mixed down and resampled as `read_audio` does."""
        if not isinstance(self.audio, np.ndarray):
            return read_audio(self.audio, rate).samples
        if self.rate is None:
            raise InputError(f"utterance '{self.id}' holds samples without a rate; pass rate=...")
        samples = check_samples(self.audio, self.id, self.rate)
        if self.rate == rate:
            return samples
        return np.clip(require("soxr", extra="audio").resample(samples, self.rate, rate), -1.0, 1.0)

    def seconds(self) -> float:
        """The length in seconds; of a file, only the header is read."""
        if not isinstance(self.audio, np.ndarray):
            return audio_seconds(self.audio)
        if self.rate is None:
            raise InputError(f"utterance '{self.id}' holds samples without a rate; pass rate=...")
        return len(self.audio) / self.rate

    def loaded(self, rate: int) -> "Utterance":
        """The same utterance with its samples in memory."""
        return replace(self, audio=self.samples(rate), rate=rate)


def read_manifest(path: Path | str) -> list[Utterance]:
    """Read a list of recordings and transcripts: .jsonl (an object a line), .csv or .tsv (with a header).

    Columns: audio (or audio_filepath, or path) and text; speaker and id where wanted; others are passed over.
    A relative audio path starts at the manifest's folder. Without an id an utterance is named by its audio path.
    InputError names the line: no such file, an empty transcript, a name used twice, a manifest without entries.
    """
    path = Path(path)
    rows = list(_rows(path, _content(path)))
    if not rows:
        raise InputError(f"the manifest '{path}' lists nothing; needed a line for every recording, with audio and text")
    utterances: list[Utterance] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        utterance = _utterance(path, line, row)
        if utterance.id in lines:
            raise InputError(
                f"'{path}' line {line}: '{utterance.id}' stands on line {lines[utterance.id]} already; "
                f"take one out, or give each an id"
            )
        lines[utterance.id] = line
        utterances.append(utterance)
    return utterances


def _content(path: Path) -> str:
    if path.suffix.lower() not in (".jsonl", ".csv", ".tsv"):
        raise InputError(f"'{path}' is not a manifest: its name must end in .jsonl, .csv or .tsv")
    try:
        # utf-8-sig: spreadsheets put a mark in front
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no manifest '{path}'; check the path") from None
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder, needed a manifest file") from None
    except PermissionError as error:
        raise InputError(f"the manifest '{path}' may not be read: {error.strerror}; change its permissions") from None
    except UnicodeDecodeError as error:
        raise InputError(f"the manifest '{path}' is not UTF-8 text ({error.reason}); save it as UTF-8") from None


def _rows(path: Path, content: str) -> Iterator[tuple[int, dict[str, object]]]:
    if path.suffix.lower() == ".jsonl":
        for line, text in enumerate(content.split("\n"), start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", error)
                raise InputError(f"'{path}' line {line} is not JSON ({reason}); needed one object a line") from None
            if not isinstance(row, dict):
                raise InputError(f"'{path}' line {line} is not a JSON object; needed {{'audio': ..., 'text': ...}}")
            yield line, row
        return
    reader = csv.DictReader(io.StringIO(content), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        for row in reader:
            if any(row.values()):
                yield reader.line_num, {(key or "").strip(): value for key, value in row.items()}
    except csv.Error as error:
        raise InputError(f"'{path}' line {reader.line_num} is not CSV ({error})") from None


def _utterance(path: Path, line: int, row: dict[str, object]) -> Utterance:
    column = next((name for name in AUDIO_COLUMNS if row.get(name)), None)
    if column is None or row.get("text") is None:
        needed = "an audio path (audio, audio_filepath or path)" if column is None else "a text"
        raise InputError(f"'{path}' line {line} lacks {needed}; it has: {', '.join(map(str, row)) or 'nothing'}")
    for name in (column, "text"):
        if not isinstance(row[name], str):
            raise InputError(f"'{path}' line {line}: {name} is {row[name]!r}, needed a text in quotes")
    written, text = str(row[column]), str(row["text"])
    if not text.strip():
        raise InputError(
            f"'{path}' line {line}: the transcript of '{written}' is empty; write what is said, or take it out"
        )
    audio = Path(written)
    try:
        audio = audio.expanduser()
        audio = audio if audio.is_absolute() else path.parent / audio
        there = audio.is_file()
    except (OSError, RuntimeError, ValueError):
        # a name that is too long, a home that nobody has
        there = False
    if not there:
        raise InputError(
            f"'{path}' line {line}: there is no audio file '{audio}'; paths start at the manifest's folder"
        )
    name, speaker = ("" if row.get(key) is None else str(row[key]) for key in ("id", "speaker"))
    return Utterance(name or written, audio, text, speaker or None)
