"""What makes a transcriber: features, augmentation, network, training; a value that goes to JSON and back."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from karussell.data.augment import Augment
from karussell.data.features import FilterBank
from karussell.data.text import Normaliser
from karussell.errors import InputError
from karussell.tasks.network import NetworkConfig
from karussell.train.config import TrainConfig


@dataclass(frozen=True)
class TranscriberConfig:
    """All settings of a transcriber, each in the dataclass of what it sets."""

    features: FilterBank = field(default_factory=FilterBank)
    """The filter bank."""
    texts: Normaliser = field(default_factory=Normaliser)
    """What is made of transcripts before they are learned."""
    augment: Augment = field(default_factory=Augment)
    """How training recordings are varied."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The shape of the network."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""
    unit: Literal["character", "word"] = "character"
    """What one label is."""
    batch_size: int = 16
    """Recordings a batch."""
    flat_start: float = 0.25
    """Share of the training that learns frame by frame from a rough alignment, before CTC."""
    prior_frames: float | None = 100.0
    """Frames that the training mean counts for beside the recording's own; none: only the training mean counts."""
    floor_db: float | None = -50.0
    """Floor under the energies, relative to the recording's mean; none keeps loudness."""
    longest: float = 20.0
    """Seconds above which a recording is cut at a pause."""
    causal: bool = False
    """One direction, and normalisation by what was heard so far: a model that answers while somebody speaks."""

    def __post_init__(self) -> None:
        if self.causal:
            object.__setattr__(self, "network", dataclasses.replace(self.network, bidirectional=False))


def to_json(config: Any) -> dict[str, Any]:
    """The fields of a dataclass, nested ones as objects, as JSON values."""
    return {
        item.name: to_json(value) if dataclasses.is_dataclass(value) else _plain(value)
        for item in dataclasses.fields(config)
        if item.init
        for value in [getattr(config, item.name)]
    }


def from_json(kind: type, values: Any, where: str = "") -> Any:
    """The dataclass `kind` from what `to_json` gave; an unknown name or a wrong type is an InputError."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where or 'the configuration'} is {values!r}; it must be an object with named settings")
    hints = get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind) if item.init]
    given = {}
    for name, value in values.items():
        label = f"{where}.{name}" if where else name
        if name not in names:
            raise InputError(f"there is no setting {label}; there are {', '.join(names)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            given[name] = from_json(hint, value, label)  # type: ignore[arg-type]
        elif not _fits(value, hint):
            raise InputError(f"the setting {label} is {value!r}, which is no {hint}")
        else:
            given[name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        inner = [part for part in get_args(hint) if part is not Ellipsis]
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if origin is not None:
        return any(_fits(value, part) for part in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
