"""Real data that ships with the lessons, and the loaders for more of it."""
