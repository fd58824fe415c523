"""Where landmarks find data sets that cannot come with the package: one folder, named by the user."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from karussell.errors import MissingError
from karussell.files import home


def archive(name: str) -> Path:
    """The path of a zip archive: in KARUSSELL_DATA if that is set, else in the library's own data folder."""
    folder = Path(os.environ.get("KARUSSELL_DATA") or home() / "data")
    path = folder / name
    if not path.is_file():
        raise MissingError(
            f"this landmark needs '{name}' and '{folder}' does not have it; set KARUSSELL_DATA to the folder that does"
        )
    return path


def timit_folder() -> Path:
    """The folder `timit` or `TIMIT` of KARUSSELL_DATA, or of the library's own data folder."""
    folder = Path(os.environ.get("KARUSSELL_DATA") or home() / "data")
    for name in ("timit", "TIMIT"):
        if (folder / name).is_dir():
            return folder / name
    raise MissingError(
        f"this arm needs TIMIT, which is not free, and '{folder}' has no folder 'timit'; put the disc's TRAIN and TEST "
        f"there, or set KARUSSELL_DATA to the folder that holds it"
    )


def text(name: str, member: str) -> str:
    """One member of an archive as text."""
    with zipfile.ZipFile(archive(name)) as file:
        return file.read(member).decode("utf-8")


def arrays(name: str, member: str) -> dict[str, np.ndarray]:
    """One .npz member of an archive; arrays of objects are refused."""
    with zipfile.ZipFile(archive(name)) as file, np.lib.npyio.NpzFile(io.BytesIO(file.read(member))) as found:
        return {key: found[key] for key in found.files}


def chorales(part: str) -> list[np.ndarray]:
    """The JSB chorales of one part, "train", "valid" or "test", as rolls [T, 88] of 0 and 1, a step a quarter note.

    The archive has the notes that sound in every sixteenth, up to four, some of them as floats; every fourth is taken.
    """
    whole = json.loads(text("music.zip", "jsb_json/jsb-chorales-16th.json"))
    rolls = []
    for piece in whole[part]:
        roll = np.zeros((len(piece[::4]), 88), np.float32)
        for step, notes in enumerate(piece[::4]):
            for note in notes:
                if 21 <= note < 109:
                    roll[step, int(note) - 21] = 1.0
        rolls.append(roll)
    return rolls
