"""TIMIT as its disc holds it: NIST SPHERE recordings and phone segments, split by folder; 61 phones fold to 39.

Garofolo et al., DARPA TIMIT, NIST 1993; the folding is that of Lee & Hon, IEEE TASSP 37(11), 1989. The disc is not free
and not part of this package:

    TIMIT/TRAIN/DR1/FCJF0/SX127.WAV    NIST SPHERE, 16 kHz, 16 bits (or RIFF, where a copy was converted)
    TIMIT/TRAIN/DR1/FCJF0/SX127.PHN    a line a segment: first sample, sample after the last, phone

Names may be in capitals or not. The two sentences that everybody reads (SA1, SA2) are left out, as is usual: 3,696
utterances to train, 1,344 to test, of which 192 by 24 speakers are the core test set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from karussell.data.manifest import Segment, Utterance
from karussell.errors import InputError, MissingError

RATE = 16000
_NAMES = (
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl l "
    "m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh"
)
PHONES = tuple(_NAMES.split())
"""The 61 phones of the segments, in the order of the alphabet."""
SILENCE = "sil"
_MERGED = {
    "ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l", "em": "m", "en": "n",
    "nx": "n", "eng": "ng", "zh": "sh", "ux": "uw",
    **dict.fromkeys(("pcl", "tcl", "kcl", "bcl", "dcl", "gcl", "h#", "pau", "epi"), SILENCE),
}  # fmt: skip
_SPEAKERS = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 "
    "mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
)
CORE = frozenset(_SPEAKERS.split())
"""The 24 speakers of the core test set."""


def fold(phones: Sequence[str]) -> tuple[str, ...]:
    """The 39 classes of a row of phones: closures and pauses are all "sil", the glottal stop q is dropped."""
    for phone in phones:
        if phone not in PHONES:
            raise InputError(f"fold: '{phone}' is none of TIMIT's 61 phones, such as 'aa' or 'h#'")
    return tuple(_MERGED.get(phone, phone) for phone in phones if phone != "q")


def timit(folder: Path | str, part: Literal["train", "test", "core"]) -> list[Utterance]:
    """The utterances of one part, in the order of their names: the phones are the text, `segments` hold their places.

    MissingError if there is no such folder; InputError for a part that holds nothing, phones or audio that are missing,
    segments that cannot be, or audio that is packed with shorten.
    """
    folder = Path(folder)
    if part not in ("train", "test", "core"):
        raise InputError(f"timit: part is '{part}'; it must be 'train', 'test' or 'core'")
    if not folder.is_dir():
        raise MissingError(f"there is no folder '{folder}'; give the folder of TIMIT that holds TRAIN and TEST")
    wanted = "train" if part == "train" else "test"
    inside = next((p for p in sorted(folder.iterdir()) if p.name.lower() == wanted), None)
    files = [] if inside is None else sorted(p for p in inside.rglob("*") if p.suffix.lower() == ".phn")
    chosen = [
        path
        for path in files
        if not path.stem.lower().startswith("sa") and (part != "core" or path.parent.name.lower() in CORE)
    ]
    if not chosen:
        raise InputError(
            f"'{folder}' has no utterance of the part '{part}'; needed {wanted.upper()}/DR1/SPEAKER/SENTENCE.PHN"
        )
    return [_utterance(path) for path in chosen]


def _utterance(path: Path) -> Utterance:
    wanted = {f"{path.stem}.wav".lower(), f"{path.stem}.wav.wav".lower()}
    audio = next((p for p in sorted(path.parent.iterdir()) if p.name.lower() in wanted), None)
    if audio is None:
        raise InputError(f"'{path}' has no recording beside it; needed {path.stem}.WAV")
    rate = _rate(audio)
    segments = _segments(path, rate)
    speaker = path.parent.name.lower()
    name = f"{speaker}_{path.stem.lower()}"
    return Utterance(name, audio, " ".join(s.text for s in segments), speaker, segments=segments)


def _segments(path: Path, rate: int) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not (words[0].isdecimal() and words[1].isdecimal()) or words[2] not in PHONES:
            raise InputError(
                f"'{path}' line {number} is '{line[:40]}'; needed first sample, last sample and one of the 61 phones"
            )
        start, end = int(words[0]), int(words[1])
        if start >= end or (found and start < round(found[-1].end * rate)):
            raise InputError(f"'{path}' line {number}: a segment from {start} to {end} cannot follow the one before it")
        found.append(Segment(start / rate, end / rate, words[2]))
    if not found:
        raise InputError(f"'{path}' holds no segment; copy it again")
    return tuple(found)


def _rate(path: Path) -> int:
    """The samples a second a recording's header names; a SPHERE header is lines of `name -type value`."""
    with open(path, "rb") as file:
        head = file.read(1024)
    if head[:4] == b"RIFF":
        # a converted copy: its rate stands in bytes 24 to 27 of the usual header, and read_audio checks the rest
        return int.from_bytes(head[24:28], "little") or RATE
    if head[:7] != b"NIST_1A":
        raise InputError(f"'{path}' is neither NIST SPHERE nor RIFF; needed a recording as TIMIT's disc holds it")
    fields: dict[str, str] = {}
    for line in head.decode("ascii", errors="replace").splitlines()[2:]:
        if line.strip() == "end_head":
            break
        name, _, rest = line.partition(" ")
        fields[name] = rest.partition(" ")[2].strip()
    coding = fields.get("sample_coding", "pcm")
    if "shorten" in coding:
        raise InputError(
            f"'{path}' is packed with shorten ({coding}), which is not read; unpack it first, "
            f"for example with: w_decode -o pcm {path.name} OUT.WAV"
        )
    try:
        return int(fields["sample_rate"])
    except (KeyError, ValueError):
        raise InputError(f"'{path}': its SPHERE header names no sample_rate; copy it again") from None
