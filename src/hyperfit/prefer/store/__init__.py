"""The study's database: its items, annotators, assignments and answers."""
