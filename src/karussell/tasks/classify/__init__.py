"""The parts of the classifier: settings, network, calibration, evidence, floor, report."""
