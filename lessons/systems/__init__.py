"""Lessons on systems."""
