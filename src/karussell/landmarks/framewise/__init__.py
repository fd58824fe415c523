"""Framewise classification with a bidirectional LSTM."""
