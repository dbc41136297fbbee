"""Decodings by name, logits processors, citation blocking, and batched generation."""
