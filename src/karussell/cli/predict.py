"""`karussell predict DIR FILE…`: the text of recordings."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from karussell.cli.command import Command, complain, note
from karussell.cli.language import declare_language, language, refuse_language
from karussell.cli.live import SPEECH, run_live
from karussell.cli.live_data import run_live_data, task_of
from karussell.errors import InputError


def declare(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", type=str, metavar="DIR", help="folder that karussell train has left")
    parser.add_argument("files", type=str, nargs="*", metavar="FILE", help="recordings: wav, flac, ogg or mp3; or data")
    parser.add_argument(
        "--live",
        action="store_true",
        help="answer standard input as it comes: 16-bit samples, mono; of other tasks a step or a row a line",
    )
    parser.add_argument(
        "--chunk",
        type=float | None,
        default=None,
        help="live, of a model that needs the whole: seconds of sound a piece, 1 by default; of other tasks steps, 16",
    )
    parser.add_argument(
        "--right", type=float | None, default=None, help="and what is heard after a piece before it is answered"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a recording, with times and confidences")
    parser.add_argument("--times", action="store_true", help="one line a label: start, end, confidence")
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda, cuda:1, mps")
    declare_language(parser)


def run(given: Namespace, words: list[str]) -> int:  # noqa: ARG001 - every command gets them
    """Print the text of each recording; the ones that cannot be used are named, and the status is 2."""
    if given.live:
        refuse_language(given, "with --live, which follows the best path")
        task = task_of(Path(given.model))
        # speech is heard without torch
        return run_live(given) if task == SPEECH else run_live_data(given, task)
    if not given.files:
        raise InputError("give recordings to hear, or --live to hear standard input")
    from karussell.tasks.folder import TASK, read_config

    task = read_config(Path(given.model))["task"]
    if task != TASK:
        from karussell.tasks.fronts import front

        refuse_language(given, f"by a model of the task '{task}'")
        for line in front(task).predict(Path(given.model), given.files, given.device, given.json, note):
            print(line)
        return 0
    from karussell.tasks import Transcriber

    model = Transcriber.load(given.model, device=given.device).knows(language(given))
    status = 0
    for name in given.files:
        try:
            found = model.predict(Path(name), say=note)
        except InputError as error:
            status = complain(str(error), 2)
            continue
        labels = zip(found.tokens, found.starts, found.ends, found.confidences, strict=True)
        rows = [(model.vocabulary.decode([token]), start, end, sure) for token, start, end, sure in labels]
        if given.json:
            print(json.dumps(_document(name, found.text, found.score, rows), ensure_ascii=False), flush=True)
            continue
        print(found.text if len(given.files) == 1 else f"{name}: {found.text}", flush=True)
        if given.times:
            for text, start, end, sure in rows:
                print(f"{start:9.2f} {end:9.2f}  {sure:5.3f}  {text}", flush=True)
    return status


def _document(name: str, text: str, score: float, rows: list[tuple[str, float, float, float]]) -> dict[str, Any]:
    labels = [
        {"text": label, "start": round(start, 3), "end": round(end, 3), "confidence": round(sure, 4)}
        for label, start, end, sure in rows
    ]
    return {"file": name, "text": text, "labels": labels, "score": round(score, 4)}


COMMAND = Command(
    "predict",
    "answer data: what recordings say, what series will be, what sequences are",
    "predict DIR [FILE...] [--json | --times] [--device DEVICE] [--live]",
    "Write down what recordings say, or answer data of another task in lines of text. The text goes to standard "
    "output, remarks go to standard error. "
    "A long recording is cut at its pauses. With --live, standard input is heard as it comes: "
    "arecord -q -f S16_LE -c 1 -r 8000 | karussell predict DIR --live",
    declare,
    run,
)
