"""Every landmark by name, and where its files are."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from karussell.errors import InputError
from karussell.landmarks.landmark import Landmark
from karussell.landmarks.result import Result

FOLDER = Path(__file__).parent
NAMES = (
    "vanishing_gradients",
    "embedded_reber",
    "long_lags",
    "two_sequence",
    "adding",
    "multiplication",
    "temporal_order",
    "learning_to_forget",
    "counting_languages",
    "precise_timing",
    "framewise",
    "ctc",
    "keyword_spotting",
    "deep_lstm",
    "clockwork",
    "highway",
    "recurrent_highway",
    "odyssey",
)
"""In the order of their years; a folder each."""


def landmark(name: str) -> Landmark:
    """The landmark of this name; InputError with the names there are."""
    if name not in NAMES:
        raise InputError(f"there is no landmark '{name}'; there are {', '.join(NAMES)}")
    found = import_module(f"karussell.landmarks.{name}.run").LANDMARK
    assert isinstance(found, Landmark)
    assert found.name == name
    return found


def landmarks() -> Iterator[Landmark]:
    """All of them; their programs are imported."""
    return (landmark(name) for name in NAMES)


def committed(name: str) -> Result | None:
    """The result that came with the package; None where there is none yet."""
    path = FOLDER / name / "result.json"
    return Result.from_json(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None
