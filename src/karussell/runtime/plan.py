"""A transcriber as arrays: from the configuration and the weights of its folder to what the C code computes with.

Batch norm is folded into the convolutions, matrices are turned to [inputs, outputs], and every size is checked, so that
nothing that comes from a file is used before it is known to fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from karussell.errors import InputError
from karussell.runtime import mel

_BATCH_EPS = 1e-5
# bounds on what a stranger's folder may ask for
MOST_CONVOLUTIONS, MOST_LAYERS, MOST_UNITS, MOST_WINDOW, MOST_BANDS = 8, 16, 1 << 14, 1 << 16, 1 << 9
_KNOWN = {
    "network": {
        "channels", "time_strides", "band_strides", "context", "hidden", "layers", "bidirectional", "dropout",
    },
    "features": {"rate", "bands", "window_ms", "hop_ms", "low_hz", "high_hz"},
}  # fmt: skip


@dataclass(frozen=True)
class Bank:
    """The filter bank."""

    rate: int
    window: int
    hop: int
    fft: int
    taper: np.ndarray
    filters: np.ndarray
    """[fft / 2, bands]."""

    @property
    def bands(self) -> int:
        """Filters."""
        return self.filters.shape[1]


@dataclass(frozen=True)
class Norm:
    """The normalisation; see karussell.data.Normalisation."""

    mean: np.ndarray
    std: np.ndarray
    prior_frames: float | None
    floor_db: float | None
    loud_db: float
    level: float | None
    """Mean energy of the training data; not None where normalisation runs along."""


@dataclass(frozen=True)
class Convolution:
    """3 x 3, padded by 1, w [3, 3, inputs, outputs] with batch norm in it; ReLU after it."""

    w: np.ndarray
    b: np.ndarray
    time_stride: int
    band_stride: int


@dataclass(frozen=True)
class Dense:
    """w [inputs, outputs], b; then layer norm with gain and shift, then ReLU."""

    w: np.ndarray
    b: np.ndarray
    gain: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Lstm:
    """One layer and direction: w [inputs, 4 H], r [H, 4 H], b [4 H]; gates i f g o."""

    w: np.ndarray
    r: np.ndarray
    b: np.ndarray


@dataclass(frozen=True)
class Plan:
    """The whole model."""

    bank: Bank
    norm: Norm
    convolutions: tuple[Convolution, ...]
    project: Dense
    around: Dense | None
    """The context: w [taps, H, H]."""
    lstm: tuple[Lstm, ...]
    directions: int
    out: np.ndarray
    out_b: np.ndarray
    symbols: tuple[str, ...]
    blank: int
    unit: str
    longest: float

    @property
    def hidden(self) -> int:
        """Units of a layer and direction."""
        return self.lstm[0].r.shape[0]

    @property
    def labels(self) -> int:
        """Labels, the blank among them."""
        return len(self.out_b)

    @property
    def subsampling(self) -> int:
        """Frames to one step."""
        return int(np.prod([c.time_stride for c in self.convolutions], dtype=np.int64))

    @property
    def step_seconds(self) -> float:
        """Seconds from step to step."""
        return self.subsampling * self.bank.hop / self.bank.rate

    @property
    def streams(self) -> bool:
        """Whether results become certain while samples come: one direction, and nothing needs the whole recording."""
        whole = self.norm.level is None and (self.norm.prior_frames is not None or self.norm.floor_db is not None)
        return self.directions == 1 and not whole

    @property
    def lookahead(self) -> float:
        """Seconds that the model hears beyond the centre of a step before it answers for it."""
        frames = 0 if self.around is None else self.around.w.shape[0] // 2
        for convolution in reversed(self.convolutions):
            frames = frames * convolution.time_stride + 1
        return (frames * self.bank.hop + self.bank.window / 2) / self.bank.rate


def plan_of(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], vocabulary: Mapping[str, Any]) -> Plan:
    """The plan of what a transcriber's folder holds; InputError where something is missing or does not fit."""
    try:
        return _plan(config, tensors, vocabulary)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(f"the folder is of no transcriber ({error!r}); copy it again") from error


def _plan(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], vocabulary: Mapping[str, Any]) -> Plan:
    settings = config["config"]
    network = settings["network"]
    for part in ("network", "features"):
        unknown = sorted(set(settings[part]) - _KNOWN[part])
        if unknown:
            raise InputError(f"there is no setting {part}.{unknown[0]}; a newer karussell may have written this folder")
    bank = bank_of(settings["features"])
    hidden, layers = _size("hidden", network["hidden"]), _size("layers", network["layers"], MOST_LAYERS)
    directions = 2 if network["bidirectional"] else 1
    symbols, labels = tuple(map(str, vocabulary["symbols"])), len(vocabulary["symbols"]) + 1
    if not 0 <= int(vocabulary["blank"]) < labels:
        raise InputError(f"the blank is label {vocabulary['blank']} of {labels}; copy the model folder again")
    take = _Taker(tensors)
    convolutions, channels, bands = [], 1, bank.bands
    shape = (network["channels"], network["time_strides"], network["band_strides"])
    if not len(shape[0]) == len(shape[1]) == len(shape[2]) <= MOST_CONVOLUTIONS:
        raise InputError("network: channels and strides do not fit one another; copy the model folder again")
    for k, (outputs, time_stride, band_stride) in enumerate(zip(*shape, strict=True)):
        strides = _size("time_strides", time_stride), _size("band_strides", band_stride)
        convolutions.append(_convolution(take, k, channels, _size("channels", outputs), *strides))
        channels, bands = outputs, -(-bands // band_stride)
    features = channels * bands
    # the network flattens [channels, bands]; here a frame is [bands, channels]
    project = take("project.weight", hidden, features).reshape(hidden, channels, bands).transpose(2, 1, 0)
    context = network["context"]
    if context != 0:
        _size("context", context, MOST_BANDS)
    found = []
    for layer in range(layers):
        inputs = hidden if layer == 0 else hidden * directions
        for end in ("", "_reverse")[:directions]:
            w = take(f"lstm.weight_ih_l{layer}{end}", 4 * hidden, inputs)
            r = take(f"lstm.weight_hh_l{layer}{end}", 4 * hidden, hidden)
            b = take(f"lstm.bias_ih_l{layer}{end}", 4 * hidden) + take(f"lstm.bias_hh_l{layer}{end}", 4 * hidden)
            found.append(Lstm(_whole(w.T), _whole(r.T), b))
    return Plan(
        bank=bank,
        norm=_norm(config["normalisation"], bank.bands),
        convolutions=tuple(convolutions),
        project=Dense(
            _whole(project.reshape(features, hidden)), take("project.bias", hidden), *take.norm("project_norm", hidden)
        ),
        around=None
        if not context
        else Dense(
            _whole(take("context.weight", hidden, hidden, context).transpose(2, 1, 0)),
            take("context.bias", hidden),
            *take.norm("context_norm", hidden),
        ),
        lstm=tuple(found),
        directions=directions,
        out=_whole(take("out.weight", labels, hidden * directions).T),
        out_b=take("out.bias", labels),
        symbols=symbols,
        blank=int(vocabulary["blank"]),
        unit=str(vocabulary["unit"]),
        longest=_seconds(settings["longest"]),
    )


def bank_of(features: Mapping[str, Any]) -> Bank:
    """The filter bank of its configuration."""
    rate, bands = _size("rate", features["rate"], 1 << 20), _size("bands", features["bands"], MOST_BANDS)
    window = _size("window", int(rate * 0.001 * features["window_ms"]), MOST_WINDOW)
    hop = _size("hop", int(rate * 0.001 * features["hop_ms"]), window)
    high = features["high_hz"]
    top = high if high > 0 else rate / 2 + high
    if not 0 <= features["low_hz"] < top <= rate / 2:
        raise InputError(f"filters from {features['low_hz']} to {top} Hz do not fit {rate} samples a second")
    fft = 1 << (window - 1).bit_length()
    frequencies = np.arange(fft // 2) * (rate / fft)
    filters = mel.triangles(mel.edges(features["low_hz"], top, bands), frequencies)
    return Bank(rate, window, hop, fft, mel.povey(window), filters)


class _Taker:
    """Weights by name, float32, of the shape they must have."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._tensors = tensors

    def __call__(self, name: str, *shape: int) -> np.ndarray:
        found = self._tensors.get(name)
        if found is None or found.shape != shape or found.dtype.kind != "f":
            came = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise InputError(f"the weights '{name}' are {came}, needed floats {list(shape)}; copy the folder again")
        return np.ascontiguousarray(found, np.float32)

    def norm(self, name: str, width: int) -> tuple[np.ndarray, np.ndarray]:
        return self(f"{name}.weight", width), self(f"{name}.bias", width)


def _convolution(take: _Taker, k: int, inputs: int, outputs: int, time_stride: int, band_stride: int) -> Convolution:
    w = take(f"convolutions.{k}.weight", outputs, inputs, 3, 3).astype(np.float64)
    gain, shift, mean, variance = (
        take(f"norms.{k}.{name}", outputs).astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + _BATCH_EPS)
    folded = (w * scale[:, None, None, None]).transpose(2, 3, 1, 0)
    return Convolution(_whole(folded), (shift - mean * scale).astype(np.float32), time_stride, band_stride)


def _norm(found: Mapping[str, Any], bands: int) -> Norm:
    mean, std = (np.asarray(found[name], np.float32) for name in ("mean", "std"))
    if mean.shape != (bands,) or std.shape != (bands,):
        raise InputError(f"the normalisation is of {mean.shape} bands, needed {bands}; copy the model folder again")
    optional = [None if found.get(name) is None else float(found[name]) for name in ("prior_frames", "floor_db")]
    level = found.get("level")
    return Norm(mean, std, optional[0], optional[1], float(found["loud_db"]), None if level is None else float(level))


def _size(name: str, value: Any, most: int = MOST_UNITS) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"{name} is {value!r}; it must be a whole number from 1 to {most}")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or not 0.1 <= value <= 3600:
        raise InputError(f"longest is {value!r}; it must be seconds from 0.1 to 3600")
    return float(value)


def _whole(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32)
