"""The parts of the forecaster: windows, network, heads, scores, floors, report."""
