"""`karussell export DIR --to onnx|c`: a model for elsewhere."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command
from karussell.cli.live import SPEECH
from karussell.cli.live_data import task_of
from karussell.errors import InputError

ENDINGS = {"onnx": ".onnx", "c": ".c"}


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", type=str, metavar="DIR", help="folder that karussell train has left")
    parser.add_argument("--to", type=str, required=True, help="onnx, or c for one C99 file")
    parser.add_argument("--out", type=str | None, default=None, help="the file; else model.onnx or model.c in DIR")
    parser.add_argument("--stream", action="store_true", help="onnx: take a recording in pieces (causal models only)")
    parser.add_argument("--name", type=str, default="karussell", help="c: what the names of its functions begin with")
    parser.add_argument(
        "--seconds",
        type=float | None,
        default=None,
        help="c: the longest recording of a model that needs the whole; decides its memory; if not given, the model's",
    )


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Write the file, and say what it is and how far from the model."""
    if given.to not in ENDINGS:
        raise InputError(f"--to is {given.to!r}; choose {' or '.join(ENDINGS)}")
    out = Path(given.out) if given.out else Path(given.model) / f"model{ENDINGS[given.to]}"
    task = task_of(Path(given.model))
    if task != SPEECH:
        return _task(given, task, out)
    from karussell.runtime import load

    plan = load(given.model).plan
    if given.to == "onnx":
        from karussell.serve.onnx import export_transcriber

        if given.stream and not plan.streams:
            raise InputError("--stream needs a causal model; train one with --causal true, or leave --stream out")
        made = export_transcriber(plan, out, stream=given.stream)
        print(f"{out}: {out.stat().st_size:,} bytes; probabilities within {made.difference:.1g} in ONNX Runtime")
    else:
        from karussell.files import write_atomic
        from karussell.serve.c import emit_c

        write_atomic(out, emit_c(plan, given.name, seconds=given.seconds))
        print(f"{out}: {out.stat().st_size:,} bytes of C99; link with -lm, and see the comment at its head")
    return 0


def _task(given: Namespace, task: str, out: Path) -> int:
    """A model of another task than speech."""
    from karussell.tasks.classifier import Classifier
    from karussell.tasks.forecaster import Forecaster
    from karussell.tasks.tagger import Tagger

    kinds: dict[str, type[Classifier] | type[Tagger] | type[Forecaster]] = {
        kind.task: kind for kind in (Classifier, Tagger, Forecaster)
    }
    if task not in kinds:
        raise InputError(f"'{given.model}' holds a model of the task '{task}', which has no export")
    if given.stream or given.seconds is not None:
        raise InputError(
            f"--{'stream' if given.stream else 'seconds'} is of speech; leave it out for a model of '{task}'"
        )
    model = kinds[task].load(given.model)
    if given.to == "onnx":
        from karussell.serve.onnx_tasks import export_task

        made = export_task(model, out)
        print(f"{out}: {out.stat().st_size:,} bytes; answers within {made.difference:.1g} in ONNX Runtime")
        return 0
    from karussell.files import write_atomic
    from karussell.serve.c_forecaster import emit_forecaster

    if not isinstance(model, Forecaster):
        raise InputError(f"--to c is for speech and forecasts; a model of '{task}' reads both ways: use --to onnx")
    write_atomic(out, emit_forecaster(model, given.name))
    print(f"{out}: {out.stat().st_size:,} bytes of C99; link with -lm, and see the comment at its head")
    return 0


COMMAND = Command(
    "export",
    "write a model as ONNX or as C",
    "export DIR --to onnx|c [--out FILE] [--stream] [--name NAME] [--seconds SECONDS]",
    "Write a model for elsewhere: as ONNX, compared in ONNX Runtime first (of speech normalised features in, "
    "log-posteriors out, states explicit); or as one C99 file without dependencies (samples in, text out; of a "
    "forecaster values in, quantiles out).",
    declare,
    run,
)
