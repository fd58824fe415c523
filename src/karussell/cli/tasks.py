"""`karussell tasks`: what can be trained, with a line of each to copy."""

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command


def declare(parser: ArgumentParser) -> None:
    """Add no arguments."""


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print every task: what it does, what it takes, an example."""
    from karussell.tasks.look import KINDS

    for kind in KINDS:
        print(f"{kind.name:<12}{kind.does}")
        print(f"{'':<12}takes {kind.takes}")
        print(f"{'':<12}{kind.example}")
        print()
    print("karussell train looks at the data and picks one; --task NAME overrides. Options of a task:")
    print("karussell train --task NAME --help")
    return 0


COMMAND = Command(
    "tasks",
    "list what can be trained",
    "tasks",
    "List what can be trained: what each task does, what data it takes, and a line to copy.",
    declare,
    run,
)
