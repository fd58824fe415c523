"""From words on the command line to a command, and from an error to one sentence and an exit status.

0    done
1    the work failed: a loss that diverged, a package that is missing
2    something given cannot be used, or a disk is full
130  interrupted by Ctrl-C
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from karussell.cli import bench, doctor, evaluate, export, landmarks, lm, predict, tasks, train
from karussell.cli.command import Command, complain, is_full
from karussell.errors import InputError, KarussellError

COMMANDS = (
    train.COMMAND,
    evaluate.COMMAND,
    predict.COMMAND,
    tasks.COMMAND,
    export.COMMAND,
    lm.COMMAND,
    bench.COMMAND,
    landmarks.COMMAND,
    doctor.COMMAND,
)
DESCRIPTION = """Train, measure and use recurrent networks: sequences in, answers out.
Try: karussell train digits --out runs/digits, and karussell tasks"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned, and errors of a person's making are one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    # numpy multiplies small matrices here, and its own threads would only stand in the way of torch's
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        command, given = parse(words)
        return command.run(given, words)
    except ArgumentError as error:
        known = [command.name for command in COMMANDS if command.name in words[:1]]
        return complain(f"{error}; see {' '.join(['karussell', *known, '--help'])}", 2)
    except InputError as error:
        return complain(str(error), 2)
    except KarussellError as error:
        return complain(str(error), 1)
    except BrokenPipeError:
        # the reader of our output has gone, as `| head` does; python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if is_full(error):
            return complain(f"there is no space left to write {error.filename or 'to'}; free some and try again", 2)
        if isinstance(error, PermissionError):
            return complain(f"'{error.filename}' may not be used ({error.strerror}); change its permissions", 2)
        raise
    except KeyboardInterrupt:
        return complain("interrupted", 130)


def parse(words: Sequence[str]) -> tuple[Command, Namespace]:
    """The command that the words name, and the values of its arguments."""
    command, given = _parse(words, {})
    if command.presets is not None:
        command, given = _parse(words, command.presets(given))
    return command, given


def _parse(words: Sequence[str], presets: Mapping[str, Any]) -> tuple[Command, Namespace]:
    parser = ArgumentParser(prog="karussell", description=DESCRIPTION, exit_on_error=False, version=_version())
    subcommands = parser.add_subcommands(dest="command", required=True, title="commands", metavar="COMMAND")
    for command in COMMANDS:
        own = ArgumentParser(
            description=command.description, usage=f"karussell {command.usage}", exit_on_error=False, allow_abbrev=False
        )
        own.add_argument("--config", action="config", help="YAML or JSON file with values of these arguments")
        # before its arguments, because some commands have commands of their own
        subcommands.add_subcommand(command.name, own, help=command.help)
        # train's options come from modules that import torch, which takes a second
        if command.name in words[:1]:
            if command.declare_by is not None:
                command.declare_by(own, list(words))
            else:
                command.declare(own)
            own.set_defaults(dict(presets))
    given = parser.parse_args(list(words))
    [chosen] = [command for command in COMMANDS if command.name == given.command]
    return chosen, given[given.command]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("karussell")
    except PackageNotFoundError:
        return "unknown"
