"""What the README shows runs as it stands."""

import re
from pathlib import Path

import pytest

from karussell.bench.result import Result

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


def test_what_is_python_has_an_example():
    assert len(BLOCKS) == 3


def test_ratios_are_those_of_the_committed_results():
    measured = {}
    for name in ("layers", "ctc"):
        path = ROOT / "benchmarks" / "results" / f"{name}.json"
        measured.update(Result.from_json(path.read_text(encoding="utf-8"), path.name).summary)
    lines = re.findall(r"^\| `([\w-]+)` \|[^|]+\|([^|]*)\|([^|]*)\|$", README, re.M)
    assert len(lines) == 11
    for group, one, two in lines:
        for threads, said in (("", one.strip()), ("@2", two.strip())):
            found = measured.get(group + threads)
            assert said == ("" if found is None else f"{found.geomean:.2f} ({found.min:.2f})"), group


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples_run(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README example {number}", "exec"), {})


def test_links_lead_somewhere():
    links = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert links
    assert not missing, missing
