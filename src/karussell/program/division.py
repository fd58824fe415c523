"""What a stage's backward pass reads: stored at the forward step, at hand anyway, or computed again.

At hand: the states before and after the step, values between stages, unit vectors, per-step inputs. The rule, in the
cost of one unit and step: a stored value costs two trips to memory; an addition or a product costs next to nothing, a
transcendental function about as much as the trips. So what is transcendental is stored, unless it follows from what
is at hand alone; everything else is computed again. An LSTM keeps four values so, a GRU four, Elman's net none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from karussell.program.graph import COSTLY, Node, needed


@dataclass(frozen=True)
class Division:
    """`saved`: nodes of the forward list to store; `at_hand`: nodes that are read as values, by name."""

    saved: tuple[int, ...]
    at_hand: Mapping[int, str]


def divide(
    nodes: Sequence[Node], values: Sequence[int], gradients: Sequence[int], at_hand: Mapping[int, str]
) -> Division:
    """Divide a joint list between the forward and the backward pass.

    values     nodes of what the step returns
    gradients  nodes of the gradients that are wanted
    at_hand    nodes that the backward pass can read without storing, and under which name
    """
    forward = needed(nodes, values)
    # nodes behind a cut are the forward pass's business
    wanted = needed(nodes, gradients, stop=forward) & forward
    free = _follows(nodes, set(at_hand))
    saved: set[int] = set()
    read: set[int] = set()

    def resolve(index: int) -> None:
        node = nodes[index]
        if node.op == "constant" or index in saved:
            return
        if index in at_hand:
            read.add(index)
        elif node.op == "input" or (node.op in COSTLY and index not in free):
            saved.add(index)
        else:
            for argument in node.args:
                resolve(argument)

    # costly ones first: what follows from them need not be stored too
    for index in sorted(wanted, key=lambda k: (nodes[k].op not in COSTLY, k)):
        resolve(index)
    return Division(tuple(sorted(saved)), {k: at_hand[k] for k in sorted(read)})


def _follows(nodes: Sequence[Node], at_hand: set[int]) -> set[int]:
    """Every node that is computed from what is at hand alone."""
    found = set(at_hand)
    for index, node in enumerate(nodes):
        if node.op == "constant" or (node.args and all(a in found for a in node.args)):
            found.add(index)
    return found
