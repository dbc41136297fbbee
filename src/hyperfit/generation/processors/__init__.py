"""What a decoding adds to ``model.generate``."""
