"""Counter-based random numbers: a mask is a function of (seed, step, stream, row, t, unit) and of nothing else.

So the same mask comes out on every engine, for any number of threads, in any order of evaluation and after a resume.
A 64-bit key of (seed, step, stream, row, t) is made with the finaliser of splitmix64 (Steele, Lea & Flood 2014); its
two halves key two rounds of the 32-bit finaliser of MurmurHash3 over the unit's index.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


class Noise(NamedTuple):
    """What random masks are keyed by: a seed, the training step, and a stream that tells layers apart."""

    seed: int
    step: int
    stream: int = 0


def key(noise: Noise, purpose: int) -> int:
    """What all masks of one purpose are keyed by, 64 bits."""
    found = 0
    for part in (noise.seed, noise.step, noise.stream, purpose):
        found = _mix64_int(found + _wrap(part) * 0x9E3779B97F4A7C15)
    return found


def uniform(noise: Noise, purpose: int, times: Tensor | int, batch: int, units: int) -> Tensor:
    """Uniform float32 numbers in [0, 1), [len(times), batch, units], or [batch, units] for one time.

    `purpose` keeps the masks of one layer apart (states, recurrent dropout). `times` are the time indices.
    """
    device = times.device if isinstance(times, Tensor) else None
    row = torch.arange(batch, device=device)
    row_key = _mix64(_signed(key(noise, purpose)) + row * _signed(0xD1342543DE82EF95))
    t = times if isinstance(times, Tensor) else torch.tensor([times], device=device)
    cell_key = _mix64(row_key[None, :] + t.to(torch.int64)[:, None] * _signed(0xF1357AEA2E62A9C5))
    low, high = (cell_key & _MASK32)[..., None], _shift(cell_key, 32)[..., None]
    unit = torch.arange(units, device=device) * 0x9E3779B1
    bits = _mix32(_mix32((unit + low) & _MASK32) ^ high)
    value = (bits >> 8).to(torch.float32) * 2.0**-24
    return value if isinstance(times, Tensor) else value[0]


def _wrap(value: int) -> int:
    return value & 0xFFFFFFFFFFFFFFFF


def _signed(value: int) -> int:
    value = _wrap(value)
    return value - (1 << 64) if value >> 63 else value


def _mix64_int(z: int) -> int:
    z = _wrap(z)
    z = _wrap((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9)
    z = _wrap((z ^ (z >> 27)) * 0x94D049BB133111EB)
    return z ^ (z >> 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    # torch has no unsigned 64-bit shift: shift, then clear what the sign brought in
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix64(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shift(z, 31)


def _mix32(z: Tensor) -> Tensor:
    z = ((z ^ (z >> 16)) * 0x85EBCA6B) & _MASK32
    z = ((z ^ (z >> 13)) * 0xC2B2AE35) & _MASK32
    return z ^ (z >> 16)
