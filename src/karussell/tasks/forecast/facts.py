"""What a forecaster learned of its training data beside the weights; the validation part is never looked at."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from karussell.data.series import SeriesSet
from karussell.data.series_step import Step
from karussell.tasks.forecast.config import ForecasterConfig
from karussell.tasks.forecast.scores import Scale
from karussell.tasks.forecast.windows import Calendar, Covariates


@dataclass(frozen=True)
class Facts:
    """What was learned of the training data beside the weights."""

    step: Step
    calendar: Calendar
    covariates: Covariates
    names: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    """Known, past and static covariates."""
    positive: bool
    """No training value was negative: errors count relative to the level, and no forecast is negative."""
    scales: dict[str, Scale]
    stretch: tuple[float, ...] = ()
    """How far each quantile lies from the median, against what the network says; found on validation windows."""

    @classmethod
    def of(cls, train: SeriesSet, config: ForecasterConfig) -> "Facts":
        """Measured on the training part."""
        return cls(
            train.step,
            Calendar.of(train),
            Covariates.of(train),
            (train.known, train.past, train.static),
            not any(np.nanmin(one.values) < 0 for one in train.series),
            {one.id: Scale.of(one.values, config.season) for one in train.series},
        )

    @property
    def widths(self) -> tuple[int, int, int]:
        """Numbers a step of the past, a step of the future, and a series has for the network beside its values."""
        known, past, _ = self.names
        calendar = 2 * len(self.calendar.periods)
        return calendar + len(known) + len(past), calendar + len(known), self.covariates.width

    def to_json(self) -> dict[str, Any]:
        """Everything but the scales, as JSON values."""
        return {
            "step": self.step.to_json(),
            "calendar": self.calendar.periods,
            "covariates": asdict(self.covariates),
            "names": self.names,
            "positive": self.positive,
            "stretch": self.stretch,
        }

    def scales_json(self) -> bytes:
        """The scales of the series, one entry a series."""
        scales = {name: [scale.spread, scale.change] for name, scale in self.scales.items()}
        return json.dumps(scales, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, values: dict[str, Any], scales: bytes) -> "Facts":
        """What `to_json` and `scales_json` wrote."""

        def tuples(found: Any) -> Any:
            return tuple(tuples(item) for item in found) if isinstance(found, list) else found

        spreads = json.loads(scales)
        if not isinstance(spreads, dict):
            raise ValueError("the scales of the series are no object")
        return cls(
            Step.from_json(values["step"]),
            Calendar(tuples(values["calendar"])),
            Covariates(**{name: tuples(found) for name, found in values["covariates"].items()}),
            tuples(values["names"]),
            bool(values["positive"]),
            {name: Scale(*found) for name, found in spreads.items()},
            tuples(values["stretch"]),
        )
