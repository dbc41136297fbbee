"""Measures of completed pictures: repetition, likeness to real continuations, copying."""
