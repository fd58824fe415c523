"""The forecast page: every part that was given is there, what was not is left out, and text is text."""

import numpy as np
import pytest

from karussell.errors import InputError
from karussell.report.forecast import Fan, ForecastReport, forecast_page
from karussell.report.measures import Measure
from karussell.report.plots import Curve, Panel

LEVELS = (0.1, 0.5, 0.9)


def fan(name: str = "north") -> Fan:
    truth = np.array([1.0, np.nan, 9.0])
    middle = np.array([1.0, 2, 3])
    return Fan(
        name, "2026-01-01", np.arange(5.0), truth, LEVELS, np.stack([middle - 1, middle, middle + 1], -1), "A note."
    )


def test_an_empty_report_is_a_page() -> None:
    page = forecast_page(ForecastReport("Nothing yet"))
    assert "Nothing yet" in page
    assert "<section" not in page


def test_all_parts_are_on_the_page() -> None:
    page = forecast_page(
        ForecastReport(
            "Sales",
            measures=(Measure("MASE", 0.8, 1.1, "seasonal naive, 24 steps"),),
            notes=("rows were out of order",),
            panels=(Panel("Loss", (Curve("training", (1, 2), (0.5, 0.4)),)),),
            fans=(fan("<north>"),),
            coverage=((0.1, 0.12), (0.5, 0.5), (0.9, 0.88)),
            by_step=(("forecaster", (0.1, 0.2, 0.3)), ("repeating the last value", (0.2, 0.4, 0.6))),
            config={"horizon": 3},
        )
    )
    for words in ("Forecasts over truth", "Calibration", "Error along the horizon", "Learning curves", "Configuration"):
        assert f">{words}</h2>" in page
    assert "&lt;north&gt;, from 2026-01-01. A note. 1 of 2 values lie within the 80" in page
    assert "<north>" not in page
    assert "rows were out of order" in page
    assert "27% better than the floor" in page
    # drawn for wide and for narrow screens
    assert page.count("<svg") == 8


def test_a_fan_of_another_shape_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"quantiles is \[3, 2\]; with 3 steps of truth and 3 levels it must be \[3, 3\]"
    ):
        Fan("a", "b", np.zeros(2), np.zeros(3), LEVELS, np.zeros((3, 2)))
