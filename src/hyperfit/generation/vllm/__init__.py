"""Texts in bulk by vLLM, where it is installed."""
