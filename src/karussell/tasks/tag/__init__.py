"""The parts of the tagger: settings, network, score, floor, report."""
