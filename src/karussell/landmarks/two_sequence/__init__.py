"""The two-sequence problem."""
