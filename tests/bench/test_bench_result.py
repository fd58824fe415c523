"""The arithmetic of a bench and its JSON shape."""

import json

import pytest
from bench_rows import MACHINE, row

from karussell.bench.result import Result, geomean, median, spread
from karussell.errors import InputError


def test_geomean():
    assert geomean([2.0, 8.0]) == pytest.approx(4.0)
    assert geomean([0.5, 2.0, 1.0]) == pytest.approx(1.0)


def test_median_and_spread():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([1.0, 2.0]) == 1.5
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == 2.0
    assert spread([1.0, 2.0]) == 0.5
    assert spread([7.0]) == 0.0


def test_summary_keeps_threads_apart_and_leaves_out_what_was_not_measured():
    rows = (row(2.0), row(8.0), row(None), row(3.0, threads=2), row(None, group="other"))
    summary = Result(MACHINE, rows).summary
    assert set(summary) == {"g", "g@2"}
    assert (summary["g"].geomean, summary["g"].min, summary["g"].cases) == (4.0, 2.0, 2)
    assert summary["g@2"].cases == 1


def test_json_shape():
    text = Result(MACHINE, (row(), row(None))).to_json()
    whole = json.loads(text)
    assert list(whole) == ["machine", "rows", "summary"]
    names = ["group", "case", "ours_ms", "peer", "peer_ms", "ratio", "spread", "engine", "threads", "peak_share"]
    assert list(whole["rows"][0]) == names
    assert whole["rows"][1]["ratio"] is None
    assert whole["summary"] == {"g": {"geomean": 2.0, "min": 2.0, "cases": 1}}
    assert Result.from_json(text).to_json() == text


@pytest.mark.parametrize("text", ["", "[]", '{"machine": {}}', '{"machine": {}, "rows": [{"group": "g"}]}'])
def test_what_is_no_result_is_refused(text):
    with pytest.raises(InputError, match=r"broken\.json is no result of a bench"):
        Result.from_json(text, "broken.json")
