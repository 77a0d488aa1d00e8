"""Lessons on training."""
