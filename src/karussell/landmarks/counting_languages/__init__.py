"""Counting languages."""
