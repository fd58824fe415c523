"""Whether weights are those of a network, seen before memory is taken for it: folders come from strangers, too."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from karussell.errors import InputError
from karussell.tasks.folder import CONFIG, WEIGHTS

_PARTS = ("layers", "members", "channels")


def fitting(
    folder: Path, tensors: Mapping[str, Tensor], counts: Mapping[str, int], make: Callable[[], nn.Module]
) -> None:
    """InputError where the network that `make` makes has not exactly these weights.

    counts  sizes by name that the configuration asks for. None may be larger than there are numbers in the weights, and
            of layers, members and channels there is at least one tensor each: what passes is made without memory, on
            the meta device, and its shapes are compared.
    """
    numbers = sum(tensor.numel() for tensor in tensors.values())
    for name, value in counts.items():
        most = len(tensors) if name in _PARTS else numbers
        if not 0 <= value <= most:
            raise InputError(
                f"'{folder / CONFIG}' asks for {name} {value}, and the weights beside it are for {most} at most; copy "
                "the folder again"
            )
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    came = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | came.keys()):
        if wanted.get(name) != came.get(name):
            raise InputError(
                f"'{folder / WEIGHTS}' does not fit the network of '{folder / CONFIG}': {name} is "
                f"{_words(came.get(name))}, needed {_words(wanted.get(name))}; copy the folder again"
            )


def _words(shape: tuple[int, ...] | None) -> str:
    return "not there" if shape is None else str(list(shape))
