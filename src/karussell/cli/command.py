"""What a command is, and how the command line speaks."""

import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser, Namespace


@dataclass(frozen=True)
class Command:
    """One word after `karussell`: its help, its arguments, and what it does with them.

    `declare` adds the arguments; `run` gets their values and the words as they were typed, and gives the exit status.
    """

    name: str
    help: str
    usage: str
    description: str
    declare: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, list[str]], int]
    presets: Callable[[Namespace], dict[str, Any]] | None = None
    """Defaults that follow from what was given, by the names of the options."""
    declare_by: Callable[[ArgumentParser, list[str]], None] | None = None
    """Adds the arguments in place of `declare` where they depend on the words."""


def complain(sentence: str, status: int) -> int:
    """Print one line on stderr and give back the exit status."""
    print(f"karussell: {' '.join(sentence.split())}", file=sys.stderr, flush=True)
    return status


def note(sentence: str) -> None:
    """Print a remark on stderr, so that stdout holds results alone."""
    print(sentence, file=sys.stderr, flush=True)


def is_full(error: OSError) -> bool:
    """Whether a file could not be written for want of space: disk, quota or the limit on a file's size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
