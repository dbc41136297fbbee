"""Text of any kind → documents → fixed-length sequences, split by document; and the embedded texts."""
