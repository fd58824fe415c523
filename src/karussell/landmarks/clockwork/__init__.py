"""The clockwork RNN."""
