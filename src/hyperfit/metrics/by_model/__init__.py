"""Texts in the eyes of a separate model: MAUVE and coherence."""
