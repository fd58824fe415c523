"""`karussell bench layers | ctc | memory`: ours beside its peers, measured in one run."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, note


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    help = "layers: recurrent layers, ctc: the loss and the search, each against torch's and others; "
    help += "memory: what training on a long sequence keeps"
    parser.add_argument("what", choices=("layers", "ctc", "memory"), help=help)
    parser.add_argument("--quick", action="store_true", help="fewer cases; ends within 4 minutes on 2 cores")
    parser.add_argument("--json", type=str, metavar="FILE", help="where to write the result")
    parser.add_argument("--groups", type=str, nargs="+", metavar="GROUP", help="only these groups of cases")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N", help="numbers of threads; 1 and all by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: parity and times on a GPU")


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Measure, print the table, and write the result where one is asked for."""
    from karussell.bench import run_ctc, run_layers, show

    file = None if given.json is None else Path(given.json)
    if given.what == "memory":
        from karussell.bench.memory import run_memory

        show(run_memory(file, say=note))
        return 0
    if given.device == "cuda":
        from karussell.bench.cuda_ctc import run_cuda_ctc
        from karussell.bench.cuda_layers import run_cuda_layers

        show((run_cuda_ctc if given.what == "ctc" else run_cuda_layers)(file, say=note))
        return 0
    bench = run_ctc if given.what == "ctc" else run_layers
    show(bench(given.groups, given.quick, file, given.threads, say=note))
    return 0


COMMAND = Command(
    "bench",
    "measure layers or CTC beside their peers",
    "bench layers|ctc|memory [--quick] [--json FILE] [--groups GROUP ...] [--threads N ...] [--device cuda]",
    "Measure our layers, or our CTC, beside their peers, turn about in one process, after a parity check against "
    "float64; a ratio above 1 means that ours is faster. Or what training on a long sequence keeps, in megabytes.",
    declare,
    run,
)
