"""Measures of texts alone: diversity, repetition, loops, compression, BLEU."""
