"""A model that knows the tones, trained once."""

from pathlib import Path

import pytest
from tones import CONFIG, tones

from karussell.tasks import Transcriber


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that knows the tones."""
    out = tmp_path_factory.mktemp("models") / "tones"
    Transcriber.fit(tones(80, 1), tones(16, 2), out, CONFIG)
    return out


@pytest.fixture
def model(folder: Path) -> Transcriber:
    return Transcriber.load(folder)
