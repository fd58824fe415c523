"""Counter-based random numbers: a mask is a function of (seed, step, stream, row, t, unit) and of nothing else.

So the same mask comes out on every engine, for any number of threads, in any order of evaluation and after a resume.
A 64-bit key of (seed, step, stream, row, t) is made with the finaliser of splitmix64 (Steele, Lea & Flood 2014); its
two halves key two rounds of the 32-bit finaliser of MurmurHash3 over the unit's index.

Compilers see the operator karussell::uniform instead, for they would take its whole numbers apart.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


class Noise(NamedTuple):
    """What random masks are keyed by: a seed, the training step, and a stream that tells layers apart."""

    seed: int
    step: int | Tensor
    stream: int = 0

    def packed(self) -> Tensor:
        """The three numbers as int64 [3]: what graphs carry. There the step may be a count in a tensor."""
        step = self.step if isinstance(self.step, Tensor) else torch.scalar_tensor(self.step, dtype=torch.int64)
        # a compiler's symbols are within 64 bits
        rest = (self.seed, self.stream)
        rest = rest if torch.compiler.is_compiling() else (_signed(self.seed), _signed(self.stream))
        seed, stream = (torch.scalar_tensor(v, dtype=torch.int64) for v in rest)
        return torch.stack([seed, step, stream])


def key(noise: Noise, purpose: int) -> int:
    """What all masks of one purpose are keyed by, 64 bits."""
    found = 0
    for part in (noise.seed, int(noise.step), noise.stream, purpose):
        found = _mix64_int(found + _wrap(part) * 0x9E3779B97F4A7C15)
    return found


def uniform(noise: Noise, purpose: int, times: Tensor | int, batch: int, units: int) -> Tensor:
    """Uniform float32 numbers in [0, 1), [len(times), batch, units], or [batch, units] for one time.

    `purpose` keeps the masks of one layer apart (states, recurrent dropout). `times` are the time indices.
    """
    if torch.compiler.is_compiling():
        one = not isinstance(times, Tensor)
        t = torch.scalar_tensor(times, dtype=torch.int64)[None] if one else times  # type: ignore[arg-type]
        found = torch.ops.karussell.uniform(noise.packed(), purpose, t, batch, units)
        return found[0] if one else found
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


def _uniform(noise: Tensor, purpose: int, times: Tensor, batch: int, units: int) -> Tensor:
    return uniform(Noise(*noise.tolist()), purpose, times, batch, units)


def _uniform_shape(noise: Tensor, purpose: int, times: Tensor, batch: int, units: int) -> Tensor:  # noqa: ARG001
    return times.new_empty(times.shape[0], batch, units, dtype=torch.float32)


_LIBRARY = torch.library.Library("karussell", "FRAGMENT")
_LIBRARY.define("uniform(Tensor noise, int purpose, Tensor times, SymInt batch, SymInt units) -> Tensor")
_LIBRARY.impl("uniform", _uniform, "CompositeExplicitAutograd")
torch.library.register_fake("karussell::uniform", _uniform_shape, lib=_LIBRARY)
