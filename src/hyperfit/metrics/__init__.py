"""Measures of texts and of models, each a value with its n and its interval."""
