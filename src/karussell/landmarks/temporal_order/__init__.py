"""Temporal order."""
