"""Errors that say what came, what was needed and what to do next; one place for optional dependencies."""

from importlib import import_module
from types import ModuleType

# signs of a sentence, at most
LONGEST = 1200


class KarussellError(Exception):
    """Everything this library raises on purpose."""


class InputError(KarussellError, ValueError):
    """Input from a person that cannot be used. The command line prints the sentence and exits with status 2.

    A file's own words may stand in the sentence, so it is kept to one line of bounded length, and what would steer a
    terminal is spelled out.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(_tame(str(sentence)))


def _tame(sentence: str) -> str:
    words = sentence if sentence.isprintable() else "".join(map(_shown, " ".join(sentence.splitlines()).strip()))
    if len(words) <= LONGEST:
        return words
    return f"{words[: LONGEST // 2]} [{len(words) - LONGEST} more] {words[-LONGEST // 2 :]}"


def _shown(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()


class EngineError(KarussellError, RuntimeError):
    """An engine was forced that cannot run what was asked of it."""


class MissingError(KarussellError, ImportError):
    """A package or a tool is not installed; the sentence says how to get it."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or name the extra that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingError(
            f"this needs the package '{module}', which is not installed. Run: pip install 'karussell[{extra}]'"
        ) from error
