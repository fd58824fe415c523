"""The shapes in which torch's recurrent layers take and give sequences, and the one that the recurrence works on.

Packed, batch first or unbatched input becomes time-major [T, B, I] with lengths, and outputs go back the same way.
Nothing is sorted and nothing is packed: the rows of a PackedSequence are sorted already, so that row b is valid at
step t exactly where b < batch_sizes[t], and its data stands in the order of those places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class Layout:
    """How an input came: everything that its outputs and states need to go back the same way.

    batched      False where the input was one sequence, [T, I]
    batch_first  [B, T, ...] outside
    packed       the PackedSequence it came as, or None
    places       where its data stands in the padded tensor, (t, b); None where all rows are full
    """

    batched: bool
    batch_first: bool
    packed: PackedSequence | None = None
    places: tuple[Tensor, Tensor] | None = None

    def output(self, y: Tensor) -> Tensor | PackedSequence:
        """The output [T, B, ...] in the shape of the input."""
        if self.packed is not None:
            data = y.flatten(0, 1) if self.places is None else y[self.places]
            return PackedSequence(
                data, self.packed.batch_sizes, self.packed.sorted_indices, self.packed.unsorted_indices
            )
        if not self.batched:
            return y[:, 0]
        return y.transpose(0, 1) if self.batch_first else y

    def state_in(self, state: Tensor) -> Tensor:
        """A state as it was given, as [N, B, width] in the order of the rows."""
        if not self.batched:
            return state[:, None]
        order = None if self.packed is None else self.packed.sorted_indices
        return state if order is None else state.index_select(1, order)

    def state_out(self, state: Tensor) -> Tensor:
        """A state [N, B, width] in the shape and the order in which it is given back."""
        if not self.batched:
            return state[:, 0]
        order = None if self.packed is None else self.packed.unsorted_indices
        return state if order is None else state.index_select(1, order)


def unfold(
    name: str, source: Tensor | PackedSequence, lengths: Tensor | Sequence[int] | None, batch_first: bool
) -> tuple[Tensor, Tensor | None, Layout]:
    """The input as [T, B, I], its lengths or None, and its layout."""
    if isinstance(source, PackedSequence):
        if lengths is not None:
            raise ValueError(f"{name}: a PackedSequence carries its lengths; give either one or `lengths`, not both")
        return _padded(name, source)
    if source.dim() not in (2, 3):
        raise ValueError(f"{name}: Expected input to be 2D or 3D, got {source.dim()}D tensor instead")
    if source.dim() == 2:
        if lengths is not None:
            raise ValueError(f"{name}: lengths go with a batch, [T, B, I] or [B, T, I]; cut the one sequence instead")
        return source[:, None], None, Layout(False, batch_first)
    x = source.transpose(0, 1) if batch_first else source
    return x, given_lengths(lengths, x), Layout(True, batch_first)


def given_lengths(lengths: Tensor | Sequence[int] | None, x: Tensor) -> Tensor | None:
    """Lengths as a tensor on x's device."""
    return None if lengths is None else torch.as_tensor(lengths, device=x.device)


def _padded(name: str, source: PackedSequence) -> tuple[Tensor, Tensor | None, Layout]:
    data, sizes = source.data, source.batch_sizes
    if data.dim() != 2:
        raise RuntimeError(f"{name}: input must have 2 dimensions, got {data.dim()}: pack sequences of shape [T, I]")
    steps, batch = len(sizes), int(sizes[0])
    if int(sizes[-1]) == batch:
        return data.unflatten(0, (steps, batch)), None, Layout(True, False, source)
    valid = torch.arange(batch) < sizes[:, None]
    t, b = (index.to(data.device) for index in valid.nonzero(as_tuple=True))
    x = data.new_zeros(steps, batch, data.shape[1]).index_put((t, b), data)
    return x, valid.sum(0).to(data.device), Layout(True, False, source, (t, b))
