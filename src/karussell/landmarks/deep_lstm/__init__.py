"""Deep LSTM."""
