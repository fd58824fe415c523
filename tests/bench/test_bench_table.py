"""The table of the `auto` engine: how it is read, and how it is measured."""

import json

import pytest

from karussell.bench import ParityError
from karussell.bench.problem import Problem, call_layer
from karussell.bench.table import Spot, grid, run_table
from karussell.cells import GRU, LSTM, RNN
from karussell.ops import Engine
from karussell.ops.recurrence.auto import COLUMNS, Kind, Point, choose, fastest, read, shipped

TABLE = {
    Kind("lstm", False, False): (
        Point(10, 1, 64, 1, 0.5),
        Point(100, 1, 64, 1, 2.0),
        Point(100, 64, 64, 1, 0.9),
        Point(100, 64, 64, 2, 1.1),
    ),
    Kind("lstm", True, False): (Point(100, 1, 64, 1, 0.5),),
}


@pytest.mark.parametrize(
    ("steps", "batch", "hidden", "training", "threads", "ragged", "engine"),
    [
        (10, 1, 64, False, 1, False, "vendor"),
        (1, 1, 16, False, 1, False, "vendor"),
        (31, 1, 64, False, 1, False, "vendor"),
        (32, 1, 64, False, 1, False, "cpp"),
        (100_000, 1, 64, False, 1, False, "cpp"),
        (100, 8, 64, False, 1, False, "cpp"),
        (100, 9, 64, False, 1, False, "vendor"),
        (100, 500, 1000, False, 1, False, "vendor"),
        (100, 64, 64, False, 8, False, "cpp"),
        (100, 1, 64, True, 1, False, "vendor"),
        (100, 1, 64, True, 1, True, "vendor"),
        (100, 0, 64, True, 1, True, "vendor"),
    ],
)
def test_the_nearest_point_decides(steps, batch, hidden, training, threads, ragged, engine):
    assert choose(TABLE, "lstm", steps, batch, hidden, training, threads, ragged) == engine


def test_of_a_cell_that_was_not_measured_cpp_is_chosen():
    assert choose(TABLE, "gru", 100, 1, 64, False, 1, False) is Engine.cpp
    assert choose({}, "lstm", 100, 1, 64, False, 1, False) is Engine.cpp


def test_the_shipped_table_is_read_and_answers():
    kinds = set(shipped())
    assert {Kind(c.name, t, False) for c in (LSTM, GRU, RNN) for t in (False, True)} <= kinds
    for cell in ("lstm", "gru", "rnn", "nobodys"):
        assert fastest(cell, 50, 4, 100, True, 1, False) in (Engine.cpp, Engine.vendor)
    assert all(p.ratio > 0 and p.threads >= 1 for points in shipped().values() for p in points)


def test_a_table_with_other_columns_is_refused():
    with pytest.raises(ValueError, match="has the columns"):
        read(json.dumps({"columns": ["cell"], "points": []}))


def test_a_table_is_measured_and_read_back(tmp_path):
    spots = [Spot(Problem(cell, 3, 2, 16, True, drop_in=False), 1) for cell in (LSTM, RNN)]
    text = run_table(tmp_path / "auto.json", seconds=0.1, spots=spots)
    assert (tmp_path / "auto.json").read_text() == text
    whole = json.loads(text)
    assert list(whole) == ["machine", "columns", "points"]
    assert whole["columns"] == list(COLUMNS)
    table = read(text)
    assert set(table) == {Kind("lstm", True, False), Kind("rnn", True, False)}
    (point,) = table[Kind("rnn", True, False)]
    assert point[:4] == (3, 2, 16, 1)
    assert point.ratio > 0


def test_a_wrong_engine_is_not_measured(tmp_path):
    def wrong(layer, x, lengths):
        y, state = call_layer(layer, x, lengths)
        return y + 0.01, state

    spots = [Spot(Problem(LSTM, 3, 2, 16, True, drop_in=False), 1)]
    with pytest.raises(ParityError):
        run_table(tmp_path / "auto.json", seconds=0.1, spots=spots, run=wrong)
    assert not (tmp_path / "auto.json").exists()


def test_the_grid_names_no_case_twice():
    spots = list(grid([1, 2]))
    assert len(set(spots)) == len(spots)
    assert {s.threads for s in spots} == {1, 2}
