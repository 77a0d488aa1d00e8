"""The lessons: one module each, grouped by subject; `lessons.anatomy` says what a lesson is made of."""
