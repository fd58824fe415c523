"""Multiplication."""
