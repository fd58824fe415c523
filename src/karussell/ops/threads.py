"""How many threads compiled code may use."""

import os

import torch

# the OpenMP runtime's threads do not survive a fork: a child computes alone
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def most() -> int:
    """Never more than torch uses; one in a forked child."""
    return 1 if _forked else torch.get_num_threads()
