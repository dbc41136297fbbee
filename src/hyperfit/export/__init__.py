"""A run's result as other programs load it: adapter, merged weights or GGUF; verified, with a model card."""
