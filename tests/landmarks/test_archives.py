"""Data sets that do not come with the package: what is read where they are, and what is said where they are not."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from karussell.errors import MissingError
from karussell.landmarks.archives import archive, chorales, timit_folder


def test_chorales_become_rolls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fourth step; rests, floats and notes that no piano has."""
    piece = [[60, 64.0], [1, 1], [1, 1], [1, 1], [], [2], [2], [2], [21, 108, 20, 109]]
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as file:
        file.writestr("jsb_json/jsb-chorales-16th.json", json.dumps({"train": [piece]}))
    monkeypatch.setenv("KARUSSELL_DATA", str(tmp_path))
    (roll,) = chorales("train")
    assert roll.shape == (3, 88)
    assert [np.flatnonzero(step).tolist() for step in roll] == [[39, 43], [], [0, 87]]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARUSSELL_DATA", str(tmp_path))
    with pytest.raises(MissingError, match=r"needs 'music\.zip'"):
        archive("music.zip")
    with pytest.raises(MissingError, match="has no folder 'timit'"):
        timit_folder()
    (tmp_path / "TIMIT").mkdir()
    assert timit_folder() == tmp_path / "TIMIT"
