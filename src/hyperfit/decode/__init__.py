"""Decoding: named decodings and batched generation."""
