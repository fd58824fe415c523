"""The page of benchmarks is made from the committed results and from nothing else."""

from pathlib import Path

import pytest
from bench_rows import MACHINE, row

import karussell
from karussell.bench.__main__ import main
from karussell.bench.docs import render
from karussell.bench.result import Result

ROOT = Path(karussell.__file__).parents[2]


def test_the_committed_page_is_what_the_committed_results_say():
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    results = {f.stem: Result.from_json(f.read_text(encoding="utf-8"), f.name) for f in files}
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == render(results)


def test_the_page_is_the_same_every_time(tmp_path):
    files = [tmp_path / f"{name}.json" for name in "ba"]
    for file in files:
        file.write_text(Result(MACHINE, (row(2.0), row(None, peer="absent"), row(3.0, threads=2))).to_json())
    pages = []
    for order in (files, files[::-1]):
        assert main(["docs", *map(str, order), "--out", str(tmp_path / "page.md")]) == 0
        pages.append((tmp_path / "page.md").read_text())
    assert pages[0] == pages[1]
    assert pages[0].index("## a\n") < pages[0].index("## b\n")
    assert "| g@2 | 3.00 | 3.00 | 1 |" in pages[0]
    assert "| c | 1 | absent | not measured |" in pages[0]


def test_files_that_are_no_results_are_refused(tmp_path, capsys):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for file, words in ((broken, "is no result of a bench"), (tmp_path / "none.json", "is no file")):
        assert main(["docs", str(file), "--out", str(tmp_path / "page.md")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_results_show_as_tables(capsys):
    from karussell.bench import show

    show(Result(MACHINE, (row(2.0), row(None, peer="absent"), row(3.0, threads=2))))
    printed = capsys.readouterr().out
    for words in ("not measured", "g@2", "geometric mean", "avx2"):
        assert words in printed


@pytest.mark.parametrize("words", [["layers", "--help"], ["table", "--help"], ["docs", "--help"]])
def test_help(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert "usage" in capsys.readouterr().out
