"""LSTM: a search space odyssey."""
