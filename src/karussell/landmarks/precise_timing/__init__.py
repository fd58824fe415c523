"""Precise timing."""
