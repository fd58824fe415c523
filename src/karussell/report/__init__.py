"""Self-contained HTML pages from plain results. matplotlib is imported when a plot is drawn."""

from karussell.report.blocks import Clip
from karussell.report.page import Html, Page
from karussell.report.plots import Curve, Interval, Panel, curve
from karussell.report.transcription import (
    Confusions,
    Rate,
    Score,
    Spikes,
    TranscriptionReport,
    WorstUtterance,
    transcription_page,
)

__all__ = [
    "Clip",
    "Confusions",
    "Curve",
    "Html",
    "Interval",
    "Page",
    "Panel",
    "Rate",
    "Score",
    "Spikes",
    "TranscriptionReport",
    "WorstUtterance",
    "curve",
    "transcription_page",
]
