"""Lessons on vision networks."""
