"""Lessons on sequences."""
