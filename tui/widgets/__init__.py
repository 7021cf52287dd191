"""Widgets, one thing a file."""
