"""Tables of series: long and wide, gaps, covariates, and every row that cannot be used."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from karussell.data.series import SeriesSet
from karussell.data.series_read import read_series
from karussell.data.series_table import Table
from karussell.errors import InputError

pandas = pytest.importorskip("pandas", reason="tables of series need pandas")


def long(**columns: object) -> "pandas.DataFrame":
    """Two daily series of four days, with some columns replaced."""
    days = [str(day) for day in np.arange("2026-01-01", "2026-01-05", dtype="datetime64[D]")]
    frame = {"unique_id": ["a"] * 4 + ["b"] * 4, "ds": days * 2, "y": [1.0, 2, 3, 4, 10, 20, 30, 40]}
    return pandas.DataFrame(frame | columns)


def read(source: object, table: Table | None = None) -> SeriesSet:
    return read_series(source, table)[0]


def test_long_and_wide_are_the_same_series(tmp_path: Path) -> None:
    frame = long()
    wide = frame.pivot(index="ds", columns="unique_id", values="y").reset_index()
    sets = [read(frame), read(wide)]
    for name, table in (("long.csv", frame), ("wide.tsv", wide)):
        table.to_csv(tmp_path / name, index=False, sep="\t" if name.endswith("tsv") else ",")
        sets.append(read(tmp_path / name))
    for one in sets:
        assert [series.id for series in one.series] == ["a", "b"]
        assert [series.values.tolist() for series in one.series] == [[1, 2, 3, 4], [10, 20, 30, 40]]
        assert one.step.name == "D"
        assert str(one.times(one.series[0], 4, 1)[0])[:10] == "2026-01-05"
    assert len({one.digest for one in sets}) == 1


def test_parquet_is_read_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    long().to_parquet(tmp_path / "series.parquet")
    assert read(tmp_path / "series.parquet").digest == read(long()).digest
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="is no Parquet file"):
        read(tmp_path / "broken.parquet")


def test_repairs_are_made_and_said() -> None:
    frame = long()
    shuffled = frame.sample(frac=1, random_state=0).sort_values("unique_id", kind="stable")
    found = read(shuffled)
    assert [one.values.tolist() for one in found.series] == [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert any("out of order" in note for note in found.notes)
    twice = read(pandas.concat([frame, frame.iloc[[2]]]))
    assert twice.series[0].values.tolist() == [1, 2, 3, 4]
    assert any("1 rows of series 'a' stand there twice" in note for note in twice.notes)
    infinite = read(long(y=[1, np.inf, 3, 4, 10, 20, -np.inf, 40]))
    assert np.isnan(infinite.series[0].values[1])
    assert any("2 infinite values" in note for note in infinite.notes)
    gap = read(frame.drop(index=[1, 6]))
    assert np.isnan(gap.series[0].values).tolist() == [False, True, False, False]
    assert any("2 values are missing" in note for note in gap.notes)
    empty = read(long(y=[1, 2, 3, 4] + [np.nan] * 4))
    assert [one.id for one in empty.series] == ["a"]
    assert any("1 series without a value are left out: b" in note for note in empty.notes)


def test_good_rows_make_no_noise() -> None:
    assert read(long()).notes == ()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": ["1", "2", "three", "4"] * 2}, r"column 'y', row 3: 'three' is no number"),
        ({"y": [np.nan] * 8}, "every value in the data is missing"),
        ({"ds": ["2026-01-01", "soon", "2026-01-03", "2026-01-04"] * 2}, r"column 'ds', row 2: 'soon' is no time"),
        ({"ds": ["2026-01-01", None, "2026-01-03", "2026-01-04"] * 2}, r"column 'ds', row 2: the time is empty"),
        ({"ds": [0.5, 1, 2, 3] * 2}, "neither a date nor a whole number"),
        ({"unique_id": ["a", None, "a", "a"] * 2}, r"row 2: the name of the series is empty"),
        ({"ds": ["2026-01-01", "2026-01-02", "2026-01-02", "2026-01-04"] * 2}, "two different rows at 2026-01-02"),
        (
            {
                "ds": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04T07:00"]
                + [f"2026-01-0{k}" for k in range(1, 5)]
            },
            "mixed frequencies",
        ),
        ({"ds": [1, 2, 3, 4, 10, 20, 30, 40]}, "series 'b' never has two neighbours one step of 1 apart"),
        ({"ds": [1, 2, 3, 2_000_000] * 2}, r"has 4 rows but spans 2,000,000 steps"),
    ],
)
def test_what_cannot_be_repaired_is_one_sentence(columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(long(**columns))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / "empty.csv")
    (tmp_path / "head.csv").write_text("ds,y\n")
    with pytest.raises(InputError, match="has no rows"):
        read(tmp_path / "head.csv")
    (tmp_path / "numbers.csv").write_text("a,b\n1.5,2\n2.5,3\n")
    with pytest.raises(InputError, match=r"no column of times among a, b.*--table\.time"):
        read(tmp_path / "numbers.csv")
    with pytest.raises(InputError, match="has no column 'price'"):
        read(long(), Table(known=("price",)))
    with pytest.raises(InputError, match="has no column y, target or value"):
        read(long().rename(columns={"y": "sold"}))


def test_covariates_and_the_future_that_is_known() -> None:
    frame = long(price=[1, 1, 2, 2, 5, 5, 6, 6], size=["s"] * 4 + ["l"] * 4, y=[1, 2, 3, np.nan, 10, 20, 30, 40])
    found = read(frame, Table(known=("price",), static=("size",)))
    one = found.series[0]
    # the last row of series a has a price and no value: it is the future
    assert (len(one.values), len(one.known)) == (3, 4)
    assert one.known[:, 0].tolist() == [1, 1, 2, 2]
    assert one.static == ("s",)
    assert any("1 rows after the last value" in note for note in found.notes)
    with pytest.raises(InputError, match="static attributes of series 'a' change"):
        read(frame, Table(static=("price",)))
    ignored = read(frame, Table(known=("price",)))
    assert any("the columns size are not used" in note for note in ignored.notes)


def test_a_trained_table_needs_its_columns_and_passes_over_others() -> None:
    _, table, values = read_series(long(price=range(8)), Table(known=("price",)))
    more = long(price=range(8), weather="fine")
    again, _, _ = read_series(more, table, values=values)
    assert again.known == ("price",)
    with pytest.raises(InputError, match="has no column 'price', which the model was trained with"):
        read_series(long(), table, values=values)


def test_split_and_followed_by_are_inverse() -> None:
    whole = read(long())
    early, late = whole.split([1, 2])
    assert [len(one) for one in early.series] == [3, 2]
    assert [one.values.tolist() for one in late.series] == [[4], [30, 40]]
    joined, counts = early.followed_by(late)
    assert counts == [1, 2]
    assert joined.digest == whole.digest
    with pytest.raises(InputError, match=r"series 'a' goes on at 2026-01-04.* not after the end"):
        whole.followed_by(late)
    # a gap between the two is missing values
    jumped, _ = whole.head([2, 2]).followed_by(late)
    assert np.isnan(jumped.series[0].values).tolist() == [False, False, True, False]


def test_times_with_zones_become_one_zone() -> None:
    frame = long(ds=[f"2026-01-01 0{k}:00:00+02:00" for k in range(4)] * 2)
    found = read(frame)
    assert found.step.name == "h"
    assert str(found.times(found.series[0], 0, 1)[0])[:13] == "2025-12-31T22"


def test_memory_grows_with_the_numbers_alone(tmp_path: Path) -> None:
    """Half a million rows as text are 14 MB; what stays in memory at the peak is bounded by a few arrays."""
    rows = 500_000
    with (tmp_path / "many.csv").open("w") as file:
        file.write("unique_id,ds,y\n")
        for series in range(5):
            file.writelines(f"series number {series},{k},{k % 97}.5\n" for k in range(rows // 5))
    read_series(tmp_path / "many.csv")
    tracemalloc.start()
    found = read(tmp_path / "many.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.points == rows
    # a table of the whole would hold a Python string for each row as well, over 100 bytes a row
    assert peak < 220 * rows
