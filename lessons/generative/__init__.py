"""Generative lessons."""
