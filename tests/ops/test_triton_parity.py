"""The Triton engine against the float64 reference: every cell, schedules, dtypes, shapes. Interpreted without a GPU.

The whole product of cells, options, dtypes and schedules is `python tools/check_triton.py`; here are parts of it.
"""

import pytest
import torch
from triton_cases import SCHEDULES, compare, needed

from karussell import cells
from user_cells import EVERY, USER, Case, named

pytestmark = [needed, pytest.mark.filterwarnings("ignore:invalid value encountered")]
NAMES = list(SCHEDULES)
SHAPES = (
    Case(2, 3, 5, ragged=True),
    Case(2, 3, 6, ragged=True, reverse=True),
    Case(1, 2, 6),
    Case(2, 3, 5, reverse=True, bias=False),
    Case(2, 3, 6, state=False, upstream="y"),
)


@pytest.mark.parametrize("number", range(len(EVERY)), ids=[named(c) for c in EVERY])
def test_every_cell_on_some_schedule(number):
    compare(EVERY[number], SHAPES[number % len(SHAPES)], NAMES[(number + number // 5) % len(NAMES)])


@pytest.mark.parametrize("schedule", NAMES)
@pytest.mark.parametrize("cell", [cells.LSTM, USER[4]], ids=named)
def test_every_schedule(cell, schedule):
    compare(cell, Case(3, 3, 6, ragged=True, reverse=NAMES.index(schedule) % 2 == 1), schedule)


def test_seven_steps_of_rows_in_several_tiles_and_more_units_than_a_tile_has():
    compare(cells.GRU, Case(7, 5, 20, ragged=True), "resident")
    compare(cells.GRU, Case(7, 3, 11, inputs=9, reverse=True), "stepwise")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("cell", [cells.LSTM, cells.GRU, cells.FGR, cells.ClockworkRNN], ids=named)
def test_short_formats(cell, dtype):
    compare(cell, Case(3, 3, 6, ragged=True), NAMES[EVERY.index(cell) % len(NAMES)], dtype)
    compare(cell, Case(2, 2, 6, reverse=True), "stepwise", dtype)


@pytest.mark.parametrize("upstream", ["y", "final", "states"])
def test_gradients_from_parts_of_the_result(upstream):
    compare(cells.PeepholeLSTM, Case(2, 2, 4, upstream=upstream), "resident")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="programs that wait for each other need a CUDA device")
@pytest.mark.parametrize("cell", EVERY, ids=named)
def test_several_programs_with_a_barrier(cell):
    from karussell.ops.recurrence.triton.schedule import Schedule

    SCHEDULES["many"] = Schedule("spread", rows=16, units=16, depth=16)
    for case in (Case(7, 33, 100, ragged=True), Case(7, 33, 100, reverse=True)):
        compare(cell, case, "many")
