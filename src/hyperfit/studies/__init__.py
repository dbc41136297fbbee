"""A grid of trainings and evaluations → a table or figure of the papers."""
