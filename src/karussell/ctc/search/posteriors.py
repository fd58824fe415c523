"""Log-probabilities of any kind as memory that compiled code reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from karussell.ctc.search import native
from karussell.errors import InputError


@dataclass(frozen=True)
class Frames:
    """Log-probabilities [T, B, K] as C++ sees them, with the memory behind."""

    structure: native.Posteriors
    batch: int
    kept: tuple[Any, ...]


def posteriors(
    log_probs: Tensor | np.ndarray, lengths: Tensor | Sequence[int] | None, classes: int, where: str
) -> Frames:
    """Take float32 and float64 as they lie in memory; other kinds of floats become float32."""
    values = as_array(log_probs, where)
    if values.ndim != 3:
        raise InputError(
            f"{where}: log_probs is {list(values.shape)}; it must be [T, B, K], time first. "
            "One utterance alone is [T, 1, K]."
        )
    frames, batch, found = values.shape
    if found != classes:
        raise InputError(f"{where}: log_probs has {found} classes, but there are {classes} labels with the blank.")
    counts = np.full(batch, frames) if lengths is None else np.asarray(torch.as_tensor(lengths).tolist())
    if counts.shape != (batch,) or (
        batch and (counts.dtype.kind not in "iu" or counts.min() < 0 or counts.max() > frames)
    ):
        raise InputError(f"{where}: lengths is {counts.tolist()}; it must be {batch} numbers from 0 to {frames}.")
    counts = counts.astype(np.int64)
    step = [stride // values.itemsize for stride in values.strides]
    structure = native.Posteriors(
        values.ctypes.data, values.dtype == np.float64, frames, batch, classes, *step, counts.ctypes.data
    )
    return Frames(structure, batch, (values, counts))


def as_array(log_probs: Tensor | np.ndarray, where: str) -> np.ndarray:
    """A float32 or float64 array of a tensor or an array."""
    if isinstance(log_probs, Tensor):
        if not log_probs.is_floating_point():
            raise InputError(f"{where}: log_probs is {log_probs.dtype}; it must be floating-point log-probabilities.")
        tensor = log_probs.detach().cpu()
        return tensor.numpy() if tensor.dtype in (torch.float32, torch.float64) else tensor.float().numpy()
    values: np.ndarray = np.asarray(log_probs)
    if values.dtype.kind != "f":
        raise InputError(f"{where}: log_probs is {values.dtype}; it must be floating-point log-probabilities.")
    wide = values.dtype.itemsize >= 8
    fits = values.dtype in (np.float32, np.float64) and values.flags.aligned
    if fits and all(stride % values.itemsize == 0 for stride in values.strides):
        return values
    return values.astype(np.float64 if wide else np.float32)
