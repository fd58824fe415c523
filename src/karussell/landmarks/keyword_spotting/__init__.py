"""Keyword spotting and hierarchical CTC."""
