"""Learning to forget."""
