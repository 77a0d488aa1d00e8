"""Lessons on what everything else is made of."""
