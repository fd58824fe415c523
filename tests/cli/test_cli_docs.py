"""Every option that the page about the command line names exists."""

import re
from pathlib import Path

from command_line import Karussell

DOCS = Path(__file__).parents[2] / "docs"


def test_the_options_on_the_page_exist(karussell: Karussell) -> None:
    known = "".join(karussell(name, "--help").stdout for name in ("train", "evaluate", "predict", "doctor"))
    for page in ("cli.md", "transcribe.md"):
        named = set(re.findall(r"--[a-z][a-z_.]*[a-z]", (DOCS / page).read_text()))
        assert named
        missing = [option for option in named if option not in known and option != "--help"]
        assert not missing, page
