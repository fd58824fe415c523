"""The C code of the transcriber, compiled once, and its structs; the same, field by field, as net/model.h."""

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np

from karussell.errors import KarussellError
from karussell.native import Source, load
from karussell.runtime.plan import MOST_CONVOLUTIONS, MOST_LAYERS, Plan

NET = Path(__file__).parent / "net"

_floats = ctypes.c_void_p


class _Convolution(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int) for n in ("inputs", "outputs", "bands", "out_bands", "time_stride", "band_stride")),
        ("w", _floats),
        ("b", _floats),
    )


class _Lstm(ctypes.Structure):
    _fields_ = (("inputs", ctypes.c_int), ("w", _floats), ("r", _floats), ("b", _floats))


class Model(ctypes.Structure):
    """k_model of net/model.h."""

    _fields_ = (
        *((n, ctypes.c_int) for n in ("window", "hop", "fft", "bands")),
        *((n, _floats) for n in ("taper", "turns", "filter", "weights")),
        *((n, ctypes.c_int) for n in ("running", "own", "levelled")),
        *((n, _floats) for n in ("mean", "deviation")),
        *((n, ctypes.c_float) for n in ("prior", "floor", "loud", "level")),
        *((n, ctypes.c_int) for n in ("convolutions", "features", "hidden", "context")),
        ("convolution", _Convolution * MOST_CONVOLUTIONS),
        *((n, _floats) for n in ("project", "project_b", "project_gain", "project_shift")),
        *((n, _floats) for n in ("around", "around_b", "around_gain", "around_shift")),
        *((n, ctypes.c_int) for n in ("layers", "directions", "labels", "blank")),
        ("lstm", _Lstm * (2 * MOST_LAYERS)),
        *((n, _floats) for n in ("out", "out_b")),
    )


def arrays(plan: Plan) -> dict[str, np.ndarray]:
    """The constants of a model by their names in the struct, those of parts as name.number.field."""
    turn = 2 * np.pi * np.arange(plan.bank.fft // 2) / plan.bank.fft
    spans, weights = _filters(plan.bank.filters)
    found = {
        "taper": plan.bank.taper,
        "turns": np.stack([np.cos(turn), -np.sin(turn)], 1),
        "filter": spans,
        "weights": weights,
        "mean": plan.norm.mean,
        "deviation": plan.norm.std,
        "out": plan.out,
        "out_b": plan.out_b,
    }
    for k, c in enumerate(plan.convolutions):
        found |= {f"convolution.{k}.w": c.w, f"convolution.{k}.b": c.b}
    for name, part in (("project", plan.project), ("around", plan.around)):
        if part is not None:
            found |= {name: part.w, f"{name}_b": part.b, f"{name}_gain": part.gain, f"{name}_shift": part.shift}
    for k, layer in enumerate(plan.lstm):
        found |= {f"lstm.{k}.w": layer.w, f"lstm.{k}.r": layer.r, f"lstm.{k}.b": layer.b}
    return {n: np.ascontiguousarray(v, np.intc if n == "filter" else np.float32) for n, v in found.items()}


def numbers(plan: Plan) -> dict[str, int | float]:
    """The plain numbers of a model by their names in the struct."""
    bank, norm = plan.bank, plan.norm
    bands, channels = bank.bands, 1
    found: dict[str, int | float] = {}
    for k, c in enumerate(plan.convolutions):
        outputs, out_bands = len(c.b), -(-bands // c.band_stride)
        sizes = (channels, outputs, bands, out_bands, c.time_stride, c.band_stride)
        names = ("inputs", "outputs", "bands", "out_bands", "time_stride", "band_stride")
        found |= {f"convolution.{k}.{n}": v for n, v in zip(names, sizes, strict=True)}
        bands, channels = out_bands, outputs
    found |= {f"lstm.{k}.inputs": len(layer.w) for k, layer in enumerate(plan.lstm)}
    return found | {
        "window": bank.window,
        "hop": bank.hop,
        "fft": bank.fft,
        "bands": bank.bands,
        "running": int(norm.level is not None),
        "own": int(norm.prior_frames is not None),
        "levelled": int(norm.floor_db is not None),
        "prior": norm.prior_frames or 0.0,
        "floor": 0.0 if norm.floor_db is None else 10 ** (norm.floor_db / 10),
        "loud": 10 ** (-norm.loud_db / 10),
        "level": norm.level or 0.0,
        "convolutions": len(plan.convolutions),
        "features": len(plan.project.w),
        "hidden": plan.hidden,
        "context": 0 if plan.around is None else len(plan.around.w),
        "layers": len(plan.lstm) // plan.directions,
        "directions": plan.directions,
        "labels": plan.labels,
        "blank": plan.blank,
    }


def fill(plan: Plan) -> tuple[Model, dict[str, np.ndarray]]:
    """The struct of a model, and the arrays that it points to and that must outlive it."""
    model, kept = Model(), arrays(plan)
    for name, value in (numbers(plan) | {n: v.ctypes.data for n, v in kept.items()}).items():
        first, *rest = name.split(".")
        if rest:
            setattr(getattr(model, first)[int(rest[0])], rest[1], value)
        else:
            setattr(model, first, value)
    return model, kept


@lru_cache
def source() -> Source:
    """What is compiled."""
    text = (NET / "library.cpp").read_text(encoding="utf-8")
    return Source("transcribe", "the runtime cannot compute", text, NET)


@lru_cache
def library() -> ctypes.CDLL:
    """The compiled code; MissingError where it is neither carried nor can be compiled."""
    found = load(source())
    found.stream_size.restype = found.model_size.restype = found.stream_start.restype = ctypes.c_size_t
    found.stream_start.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    found.stream_push.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_int]
    found.stream_features.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p, ctypes.c_int]
    found.stream_finish.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    if found.model_size() != ctypes.sizeof(Model):
        raise KarussellError("the runtime's C code and its Python disagree on a struct; install the package again")
    return found


def _filters(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stretch of bins that each triangle covers [bands, 2], and the weights in it, filter after filter."""
    spans, weights = [], []
    for column in filters.T:
        bins = np.flatnonzero(column)
        first, last = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)
        spans.append((first, last - first))
        weights.append(column[first:last])
    return np.asarray(spans), np.concatenate(weights)
